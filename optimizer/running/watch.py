"""What goes on beside a training, between two looks at what its trainer tells."""

import dataclasses
import logging
import time

from optimizer import patience
from optimizer.running import disk, guards, launch, live_signals
from optimizer.running import pruning as prunings
from optimizer.trials import claims
from optimizer.trials import rows as trial_rows
from storage import errors as storage_errors
from storage import signals, workers
from storage import studies as stored_studies
from trainers.contract import events, paths

logger = logging.getLogger(__name__)

#: seconds between two words on what an attempt does
BEAT_SECONDS = 2.0


@dataclasses.dataclass
class Watch:
    """What goes on beside a training: the lease is renewed, scores and signals are kept, a wish to stop is passed on.

    A database that is away holds nothing of this up: what could not be written waits until it is back.
    """

    rows: trial_rows.Rows
    pruning: prunings.Pruning
    launcher: launch.TrainerProcess
    claim: claims.Claim
    waiting: patience.Patience
    trial: paths.TrialPaths
    #: number of the attempt, and what it shows to others
    attempt: int
    live: live_signals.LiveSignals = dataclasses.field(default_factory=live_signals.LiveSignals)
    #: whether the trainer was asked to stop
    interrupted: bool = False
    _due: float = 0.0
    _away_since: float | None = None
    _tries: int = 0
    _beat: float = 0.0
    _unwritten: list[events.Event] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._due = time.monotonic() + self._renew_every

    @property
    def _renew_every(self) -> float:
        """Seconds: a third of the lease, so that two renewals may be late before it is lost."""
        return self.rows.lease_seconds / 3

    def between(self) -> None:
        """Called again and again; what is due is done.

        Raises:
            storage.errors.DatabaseUnreachable: the database stayed away for too long.
            storage.errors.NotFound: the study was deleted.
        """
        if self.interrupted:
            return
        if self.waiting.should_stop() or not self._holds_trial():
            self.interrupted = True
            self.launcher.interrupt()
        self._show()

    def remember(self, event: events.Event) -> None:
        """Keep what the database must know of an event: the base's scores, those at milestones, and signals."""
        self.live.take(event)
        if event.event in ("baseline", "evaluated"):
            self._unwritten.append(event)
            if self._away_since is None:
                self._due = time.monotonic()
                self._holds_trial()

    def end_early(self, wish: str | None) -> None:
        """Ask the trainer to end the trial, for the first rule or pruner that wishes it."""
        if wish is not None and not self.trial.stop.exists():
            with disk.writing(self.trial.directory):
                guards.stop(self.trial, wish)

    def finish(self) -> None:
        """Write what is still to be written, waiting for the database."""
        if not self.interrupted:
            self.waiting.call(self._write)

    def _show(self) -> None:
        """Let others see what the attempt does, now and then; what cannot be written is dropped."""
        now = time.monotonic()
        if now < self._beat or self._away_since is not None:
            return
        self._beat = now + BEAT_SECONDS
        try:
            signals.tell(self.rows.database, self.rows.study_id, self.claim.number, self.attempt, self.live.signals())
        except storage_errors.StorageError:
            self._due = now  # the lease finds out what is the matter

    def _holds_trial(self) -> bool:
        """False when another worker has the trial by now."""
        now = time.monotonic()
        if now < self._due:
            return True
        try:
            self._write()
            workers.heartbeat(self.rows.database, self.rows.worker_id)
            holds = self.rows.renew(self.claim.lease)
        except storage_errors.DatabaseUnreachable as error:
            if self._away_since is None:
                self._away_since = now
                logger.warning("trial %d trains on while the database is away: %s", self.claim.number, error)
            if now - self._away_since > self.waiting.wait_seconds:
                raise
            self._tries += 1
            self._due = time.monotonic() + min(patience.back_off(self._tries), self._renew_every)
            return True
        if self._away_since is not None:
            logger.warning("the database is back after %.0f s", now - self._away_since)
        self._away_since, self._tries, self._due = None, 0, now + self._renew_every
        return holds

    def _write(self) -> None:
        while self._unwritten:
            event = self._unwritten[0]
            if event.event == "baseline":
                self._remember_baseline(event)
            try:
                with self.rows.database.clear_errors():
                    self.end_early(self.pruning.look(self.claim.number, event))
            except Exception:
                self.rows.require_study()  # without its rows anything may fail
                raise
            self._unwritten.pop(0)

    def _remember_baseline(self, event: events.Event) -> None:
        """Keep the untrained base's scores and images; every trainer process tells them, and they are the same."""
        with self.rows.transaction() as writing:
            known = stored_studies.StudyFacts(baseline=dict(event.data))
            stored_studies.learn(writing.connection, self.rows.study_id, known)
