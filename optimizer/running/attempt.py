"""One attempt at a trial: from its job file, through its trainer's events, to what they come to."""

import contextlib
import dataclasses
import logging
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from optimizer import errors, patience
from optimizer.running import follow, guards, launch
from optimizer.trials import campaign as campaigns
from optimizer.trials import conclusion as score
from optimizer.trials import propose
from storage import errors as storage_errors
from storage import runs, workers
from trainers.contract import errors as trainer_errors
from trainers.contract import events, job, paths
from trainers.files import atomic

logger = logging.getLogger(__name__)

#: lines of what a dead trainer printed that are kept with its trial
_LAST_LINES = 20


def run(
    campaign: campaigns.Campaign,
    launcher: launch.TrainerProcess,
    device: launch.Device,
    claim: propose.Claim,
    waiting: patience.Patience,
) -> score.Conclusion:
    """Run one attempt at a trial, from its job file to what its events come to.

    Raises:
        errors.BadInput: the disk takes no more; the message names the file.
        storage.errors.LeaseLost: the trial is another worker's by now.
        storage.errors.NotFound: the study was deleted.
        storage.errors.ServiceUnreachable: the database stayed away for too long.
    """
    number = waiting.call(lambda: runs.start(campaign.database, claim.lease, gpu=device.name))
    trial = _trial(campaign, claim.number)
    folder = paths.JobPaths(trial.attempt(number))
    conclusion = _train(campaign, launcher, claim, waiting, folder)
    _finish(campaign, claim, number, conclusion, waiting)
    return conclusion


def left_behind(
    campaign: campaigns.Campaign, claim: propose.Claim, waiting: patience.Patience
) -> score.Conclusion | None:
    """What an earlier attempt at this trial came to that nobody has told: its worker ended before it could.

    An attempt counts where its job is the one that this worker would write, and its events say that it came to its end.
    None where the trial has to be trained, or trained on.
    """
    attempts = waiting.call(lambda: runs.of_trial(campaign.database, campaign.study_id, claim.number))
    for number in reversed([each.attempt for each in attempts]):
        folder = paths.JobPaths(_trial(campaign, claim.number).attempt(number))
        if not _is_the_same(_job(campaign, claim, folder), folder.job):
            continue
        reader = events.Reader(folder.events)
        told = _of_trial(reader.fresh(), claim.number)
        conclusion = score.conclude(told, campaign.rules, campaign.study.objectives, claim.params)
        if conclusion.ending not in score.FINAL or not _is_whole(conclusion):
            continue
        conclusion = _with_problems(conclusion, reader)
        _finish(campaign, claim, number, conclusion, waiting)
        logger.info("trial %d had come to its end in attempt %d", claim.number, number, extra={"trial": claim.number})
        return conclusion
    return None


def _train(
    campaign: campaigns.Campaign,
    launcher: launch.TrainerProcess,
    claim: propose.Claim,
    waiting: patience.Patience,
    folder: paths.JobPaths,
) -> score.Conclusion:
    trial = _trial(campaign, claim.number)
    with _disk(folder.directory):
        _make_own(folder.directory)
        trial.stop.unlink(missing_ok=True)
        _job(campaign, claim, folder).write(folder.job)
        began, printed = time.time(), launcher.printed()
        launcher.start(folder.job)
    reader = events.Reader(folder.events)
    watch = Watch(campaign, launcher, claim, waiting, trial)
    guard = guards.Guard(claim.params)
    told: list[events.Event] = []
    for event in follow.follow(folder, reader, launcher.is_alive, watch.between):
        if not _of_trial([event], claim.number):
            continue
        told.append(event)
        campaign.observer.event(claim.number, event)
        if event.event == "checkpoint-set-aside":
            logger.warning(
                "trial %d begins anew: %s; kept as %s", claim.number, event.data["message"], event.data["path"]
            )
        watch.remember(event)
        watch.end_early(guard.broken(campaign.rules, event))
    watch.finish()
    conclusion = score.conclude(
        told, campaign.rules, campaign.study.objectives, claim.params, asked_to_stop=watch.interrupted
    )
    conclusion = _with_problems(dataclasses.replace(conclusion, seconds=_seconds(conclusion, told, began)), reader)
    if conclusion.ending is score.Ending.CRASHED:
        launcher.close()
        with _disk(folder.directory):  # a trainer whose last words it did not take looks like one that crashed
            _try_disk(folder.directory)
        message = conclusion.message or _last_words(folder.console, 0) or _last_words(launcher.console, printed)
        message = message or "the trainer process ended without a word"
        conclusion = dataclasses.replace(conclusion, message=message)
    return conclusion


def _make_own(folder: pathlib.Path) -> None:
    """Make the folder of an attempt; what another one left there would be read as what this one tells.

    Raises:
        errors.BadInput: it is there already.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise errors.BadInput(
            f"{folder}: is there already, but was not made by this attempt; move it away, or give this database a data "
            "folder of its own (TUNEGUARD_HOME)"
        ) from error


@dataclasses.dataclass
class Watch:
    """What goes on beside a training: the lease is renewed, scores are kept, a wish to stop is passed on.

    A database that is away holds nothing of this up: what could not be written waits until it is back.
    """

    campaign: campaigns.Campaign
    launcher: launch.TrainerProcess
    claim: propose.Claim
    waiting: patience.Patience
    trial: paths.TrialPaths
    #: whether the trainer was asked to stop
    interrupted: bool = False
    _due: float = 0.0
    _away_since: float | None = None
    _tries: int = 0
    _unwritten: list[events.Event] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._due = time.monotonic() + self._renew_every

    @property
    def _renew_every(self) -> float:
        """Seconds: a third of the lease, so that two renewals may be late before it is lost."""
        return self.campaign.settings.lease_seconds / 3

    def between(self) -> None:
        """Called again and again; what is due is done.

        Raises:
            storage.errors.ServiceUnreachable: the database stayed away for too long.
            storage.errors.NotFound: the study was deleted.
        """
        if self.interrupted:
            return
        if self.waiting.should_stop() or not self._holds_trial():
            self.interrupted = True
            self.launcher.interrupt()

    def remember(self, event: events.Event) -> None:
        """Keep what the database must know of an event: the base's scores, and those at evaluation points."""
        if event.event in ("baseline", "evaluated"):
            self._unwritten.append(event)
            if self._away_since is None:
                self._due = time.monotonic()
                self._holds_trial()

    def end_early(self, wish: str | None) -> None:
        """Ask the trainer to end the trial, for the first rule or pruner that wishes it."""
        if wish is not None and not self.trial.stop.exists():
            with _disk(self.trial.directory):
                guards.stop(self.trial, wish)

    def finish(self) -> None:
        """Write what is still to be written, waiting for the database."""
        if not self.interrupted:
            self.waiting.call(self._write)

    def _holds_trial(self) -> bool:
        """False when another worker has the trial by now."""
        now = time.monotonic()
        if now < self._due:
            return True
        try:
            self._write()
            workers.heartbeat(self.campaign.database, self.campaign.worker_id)
            holds = self.campaign.renew(self.claim.lease)
        except storage_errors.ServiceUnreachable as error:
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
                self.campaign.remember_baseline(event.data)
            try:
                with self.campaign.database.clear_errors():
                    self.end_early(self.campaign.pruning.look(self.claim.number, event))
            except Exception:
                self.campaign.require_study()  # without its rows anything may fail
                raise
            self._unwritten.pop(0)


def _trial(campaign: campaigns.Campaign, number: int) -> paths.TrialPaths:
    return paths.TrialPaths(campaign.settings.run_directory(campaign.stored.folder, number))


def _job(campaign: campaigns.Campaign, claim: propose.Claim, folder: paths.JobPaths) -> job.TrainJob:
    """Everything the trainer is told: one trial, complete parameters, where to put what."""
    study = campaign.study
    return job.TrainJob(
        trainer=study.trainer,
        study=study.name,
        base=study.base,
        dataset=study.dataset,
        evaluation=study.evaluation,
        thresholds=study.thresholds,
        trials=(
            job.TrialSpec(
                number=claim.number,
                params=claim.told,
                seed=claim.seed,
                directory=str(_trial(campaign, claim.number).directory),
            ),
        ),
        directory=str(folder.directory),
        cache=str(campaign.settings.cache),
        trackers=study.launch.trackers,
        record={
            "study": study.name,
            "study_id": campaign.study_id,
            "trial": str(claim.number),
            "rules": campaign.rule_version,
        },
    )


def _is_the_same(wanted: job.TrainJob, file: pathlib.Path) -> bool:
    """Whether a job file asks for what is wanted now.

    Rules judge its outcome, trackers only look on, and a study that is renamed is the same one.
    """
    try:
        found = job.read(file)
    except trainer_errors.JobError:
        return False
    return _essence(found) == _essence(wanted)


def _essence(train_job: job.TrainJob) -> Mapping[str, Any]:
    said = train_job.model_dump(exclude={"trackers", "study"})
    return {**said, "record": {name: told for name, told in said["record"].items() if name not in ("rules", "study")}}


def _of_trial(told: list[events.Event], number: int) -> list[events.Event]:
    """This trial's events and the job's own."""
    return [event for event in told if event.trial in (None, number)]


def _is_whole(conclusion: score.Conclusion) -> bool:
    """Whether the LoRA and the pictures that an attempt told of are still there."""
    files = [str(image["path"]) for image in conclusion.images]
    files += [conclusion.lora] if conclusion.lora is not None else []
    return all(pathlib.Path(file).is_file() for file in files)


def _finish(
    campaign: campaigns.Campaign,
    claim: propose.Claim,
    number: int,
    conclusion: score.Conclusion,
    waiting: patience.Patience,
) -> None:
    waiting.call(
        lambda: runs.finish(
            campaign.database,
            campaign.study_id,
            claim.number,
            number,
            outcome=conclusion.ending.value,
            exit_code=conclusion.exit_code,
            failure_kind=None if conclusion.failure is None else conclusion.failure.kind,
            step=conclusion.steps,
            seconds=conclusion.seconds,
            message=conclusion.message,
        )
    )


def _with_problems(conclusion: score.Conclusion, reader: events.Reader) -> score.Conclusion:
    """Name the lines that were left out of an event file."""
    if not reader.problems:
        return conclusion
    more = len(reader.problems) - 1
    said = f"{reader.problems[0]}{f' (and {more} more lines)' if more else ''} was left out"
    logger.warning("%s", said)
    return dataclasses.replace(conclusion, message="\n".join(filter(None, (conclusion.message, said))))


def _seconds(conclusion: score.Conclusion, told: list[events.Event], began: float) -> dict[str, float]:
    """The trainer's own phases, with the time before its first word as the launch."""
    first = told[0].time if told else time.time()
    return {"launch": round(max(0.0, first - began), 3), **conclusion.seconds}


def _try_disk(folder: pathlib.Path) -> None:
    """Write a little and take it away again.

    Raises:
        OSError: the disk takes nothing.
    """
    probe = folder / "probe"
    atomic.write(probe, bytes(4096))
    probe.unlink()


@contextlib.contextmanager
def _disk(folder: pathlib.Path) -> Iterator[None]:
    """What goes wrong with files inside is the disk's fault.

    Raises:
        errors.BadInput: something did; the message names the file.
    """
    try:
        yield
    except OSError as error:
        raise errors.BadInput(
            f"{error.filename or folder}: {error.strerror}; make room there or mend it, then run the same command again"
        ) from error


def _last_words(console: pathlib.Path, offset: int) -> str:
    """The end of what was printed into a file from an offset on."""
    try:
        printed = console.read_bytes()[offset:]
    except OSError:
        return ""
    return "\n".join(printed.decode("utf-8", "replace").splitlines()[-_LAST_LINES:])
