"""The loop of one worker: claim a trial, run it, judge it, tell it. Reads like the flow in docs/explanation."""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Callable
from typing import Any

from optimizer import campaign as campaigns
from optimizer import duplicates, errors, follow, guards, launch, propose, score, tell
from storage import runs, workers
from trainers import events, job, paths

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Tally:
    """What a worker has done."""

    usable: int = 0
    unusable: int = 0
    stopped_early: int = 0
    crashed: int = 0
    interrupted: int = 0

    def count(self, ending: score.Ending) -> None:
        if ending != score.Ending.REJECTED:
            name = ending.name.lower()
            setattr(self, name, getattr(self, name) + 1)


def work(
    campaign: campaigns.Campaign,
    launcher: launch.TrainerProcess,
    device: launch.Device,
    should_stop: Callable[[], bool],
) -> Tally:
    """Work until the budget is spent or `should_stop` says so.

    Raises:
        errors.BadInput: the trainer rejects the job as it is written; its trial waits for a mended study.
        errors.NothingFeasible: the rules leave no point.
    """
    tally = Tally()
    while not should_stop():
        claim = propose.claim(campaign)
        if claim is None:
            break
        if isinstance(claim, propose.Refused):
            continue
        if claim.same_as is not None:
            duplicates.take_over(campaign, claim)
            continue
        campaign.observer.started(claim.number, claim.params, taken_up=claim.taken_up)
        try:
            conclusion = attempt(campaign, launcher, device, claim, should_stop)
            tell.settle(campaign, claim, conclusion)
        except BaseException:
            # whatever went wrong is ours, not the trial's: it waits for the next worker, from its checkpoint
            launcher.interrupt()
            campaign.release(claim.lease)
            raise
        tally.count(conclusion.ending)
        campaign.observer.concluded(claim.number, conclusion)
        _log(claim, conclusion)
        if conclusion.ending is score.Ending.REJECTED:
            place = campaign.settings.run_directory(campaign.folder, claim.number)
            raise errors.BadInput(f"{place}: {conclusion.message or 'the trainer rejected the job'}")
    return tally


def attempt(
    campaign: campaigns.Campaign,
    launcher: launch.TrainerProcess,
    device: launch.Device,
    claim: propose.Claim,
    should_stop: Callable[[], bool],
) -> score.Conclusion:
    """Run one attempt at a trial, from its job file to what its events come to."""
    number = runs.start(campaign.database, claim.lease, gpu=device.name)
    trial = paths.TrialPaths(campaign.settings.run_directory(campaign.folder, claim.number))
    folder = paths.JobPaths(trial.attempt(number))
    _make_own(folder.directory)
    trial.stop.unlink(missing_ok=True)
    write_job(campaign, claim, trial, folder)
    began = time.time()
    launcher.start(folder.job)
    watch = Watch(campaign, launcher, claim, should_stop)
    guard = guards.Guard(claim.params)
    told: list[events.Event] = []
    for event in follow.follow(folder, launcher.is_alive, watch.between):
        if event.trial not in (None, claim.number):
            continue
        told.append(event)
        campaign.observer.event(claim.number, event)
        if event.event == "baseline":
            campaign.remember_baseline(event.data)
        behind = campaign.pruning.look(claim.number, event)
        rule = guard.broken(campaign.rules, event) or behind
        if rule is not None and not trial.stop.exists():
            guards.stop(trial, rule)
    conclusion = score.conclude(told, campaign.rules, campaign.study.objectives, claim.params)
    conclusion = dataclasses.replace(conclusion, seconds=_seconds(conclusion, told, began))
    if conclusion.ending is score.Ending.CRASHED:
        launcher.close()
        conclusion = dataclasses.replace(conclusion, message=conclusion.message or _last_words(launcher.console))
    runs.finish(
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
    """What goes on between two looks at the events: the lease is renewed, a wish to stop is passed on."""

    campaign: campaigns.Campaign
    launcher: launch.TrainerProcess
    claim: propose.Claim
    should_stop: Callable[[], bool]
    _renewed: float = dataclasses.field(default_factory=time.monotonic)
    _interrupted: bool = False

    def between(self) -> None:
        if self._interrupted:
            return
        if self.should_stop() or not self._holds_lease():
            self._interrupted = True
            self.launcher.interrupt()

    def _holds_lease(self) -> bool:
        """Renew at a third of the lease, so that two renewals may be late before it is lost."""
        if time.monotonic() - self._renewed < self.campaign.settings.lease_seconds / 3:
            return True
        self._renewed = time.monotonic()
        workers.heartbeat(self.campaign.database, self.campaign.worker_id)
        return self.campaign.renew(self.claim.lease)


def write_job(
    campaign: campaigns.Campaign, claim: propose.Claim, trial: paths.TrialPaths, folder: paths.JobPaths
) -> None:
    """Tell the trainer everything: one trial, complete parameters, where to put what."""
    study = campaign.study
    job.TrainJob(
        trainer=study.trainer,
        study=study.name,
        base=study.base,
        dataset=study.dataset,
        evaluation=study.evaluation,
        thresholds=study.thresholds,
        trials=(
            job.TrialSpec(
                number=claim.number,
                params=dict(claim.params),
                seed=claim.seed,
                directory=str(trial.directory),
            ),
        ),
        directory=str(folder.directory),
        cache=str(campaign.settings.cache),
        trackers=study.launch.trackers,
        record={"study": study.name, "trial": str(claim.number), "rules": campaign.rule_version},
    ).write(folder.job)


def _seconds(conclusion: score.Conclusion, told: list[events.Event], began: float) -> dict[str, float]:
    """The trainer's own phases, with the time before its first word as the launch."""
    first = told[0].time if told else time.time()
    return {"launch": round(max(0.0, first - began), 3), **conclusion.seconds}


def _last_words(console: pathlib.Path, lines: int = 20) -> str:
    try:
        text = console.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "the trainer process ended without a word"
    return "\n".join(text.splitlines()[-lines:])


def _log(claim: propose.Claim, conclusion: score.Conclusion) -> None:
    """One canonical line when a trial ends."""
    facts: dict[str, Any] = {
        "trial": claim.number,
        "ending": conclusion.ending.value,
        "values": conclusion.values,
        "failure": None if conclusion.failure is None else conclusion.failure.kind,
        "seconds": round(sum(conclusion.seconds.values()), 1),
    }
    logger.info("trial %d is %s", claim.number, conclusion.ending.value, extra=facts)
