"""The loop of one worker: claim a trial, run it, judge it, tell it. Reads like the flow in docs/explanation."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

from optimizer import errors, patience
from optimizer.running import attempt, launch
from optimizer.trials import campaign as campaigns
from optimizer.trials import conclusion as score
from optimizer.trials import duplicates, heirs, propose, tell
from storage import errors as storage_errors

logger = logging.getLogger(__name__)

#: seconds in which nobody claims from a database that has just come back: whoever trains renews its lease first
_HOLDERS_FIRST_SECONDS = 2 * patience.LONGEST_SECONDS
#: seconds between two looks of a worker that has nothing to do but to see whether the others live
_IDLE_SECONDS = 0.5


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
    """Work until the budget is spent or `should_stop` says so. A database that is away is waited for.

    A worker that finds nothing to do stays until it has seen that those who hold a trial live (`heirs`).

    Raises:
        errors.BadInput: the trainer rejects the job as it is written; its trial waits for a mended study.
        errors.NothingFeasible: the rules leave no point.
        storage.errors.ServiceUnreachable: the database stayed away for too long.
        storage.errors.NotFound: the study was deleted.
    """
    tally = Tally()
    waiting = patience.Patience(campaign.database, campaign.settings.database_wait_seconds, should_stop)
    others = heirs.Heirs(campaign)
    while not should_stop():
        claim = waiting.call(lambda: propose.claim(campaign), afterwards_seconds=_HOLDERS_FIRST_SECONDS)
        if claim is None:
            if not waiting.call(others.may_come):
                break
            time.sleep(_IDLE_SECONDS)
            continue
        if isinstance(claim, propose.Refused):
            continue
        conclusion = _run(campaign, launcher, device, claim, waiting)
        if conclusion is not None:
            tally.count(conclusion.ending)
            _log(claim, conclusion)
    return tally


def _run(
    campaign: campaigns.Campaign,
    launcher: launch.TrainerProcess,
    device: launch.Device,
    claim: propose.Claim,
    waiting: patience.Patience,
) -> score.Conclusion | None:
    """From a claim to its telling; None where another trial's result was taken over.

    Raises: see `work`.
    """
    try:
        if claim.same_as is not None:
            waiting.call(lambda: duplicates.take_over(campaign, claim))
            return None
        campaign.observer.started(claim.number, claim.params, taken_up=claim.taken_up)
        conclusion = attempt.left_behind(campaign, claim, waiting) if claim.taken_up else None
        if conclusion is None:
            conclusion = attempt.run(campaign, launcher, device, claim, waiting)
        is_told = waiting.call(lambda: tell.settle(campaign, claim, conclusion))
    except storage_errors.LeaseLost as error:
        logger.warning("trial %d is given way: %s", claim.number, error, extra={"trial": claim.number})
        return None
    except BaseException:
        # whatever went wrong is ours, not the trial's: it waits for the next worker, from its checkpoint
        launcher.interrupt()
        with contextlib.suppress(storage_errors.StorageError):
            campaign.release(claim.lease)
        raise
    with contextlib.suppress(storage_errors.ServiceUnreachable):  # it reads what is shown; the next claim waits
        campaign.observer.concluded(claim.number, conclusion)
    if conclusion.ending is score.Ending.REJECTED and not is_told:
        place = campaign.settings.run_directory(campaign.stored.folder, claim.number)
        raise errors.BadInput(f"{place}: {conclusion.message or 'the trainer rejected the job'}")
    return conclusion


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
