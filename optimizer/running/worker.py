"""The loop of one worker: claim a trial, run it, judge it, tell it. Reads like the flow in docs/explanation."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

from optimizer import errors, patience
from optimizer.running import attempt
from optimizer.trials import claims, duplicates, heirs, propose, tell
from optimizer.trials import conclusion as conclusions
from optimizer.trials import observer as observers
from optimizer.trials import rows as trial_rows
from storage import errors as storage_errors

logger = logging.getLogger(__name__)

#: seconds in which nobody claims from a database that has just come back: whoever trains renews its lease first
_HOLDERS_FIRST_SECONDS = 2 * patience.LONGEST_SECONDS
#: seconds between two looks of a worker that has nothing to do but to see whether the others live
_IDLE_SECONDS = 0.5


@dataclasses.dataclass
class Tally:
    """What a worker has done, and why it ended."""

    usable: int = 0
    unusable: int = 0
    stopped_early: int = 0
    crashed: int = 0
    interrupted: int = 0
    why: str = ""

    def count(self, ending: conclusions.Ending) -> None:
        if ending != conclusions.Ending.REJECTED:
            name = ending.name.lower()
            setattr(self, name, getattr(self, name) + 1)

    def sentence(self) -> str:
        """In a line what was done, and why it ended."""
        counts = {ending.value: getattr(self, ending.name.lower(), 0) for ending in conclusions.Ending}
        done = ", ".join(f"{count} {ending}" for ending, count in counts.items() if count)
        return f"this worker's trials: {done or 'none'}; it ended because {self.why}"


@dataclasses.dataclass(frozen=True)
class Worker:
    """Works on one study: claims a trial, runs it, judges it, tells it.

    Attributes:
        rows: the study's trials.
        proposer: finds the next one.
        attempts: runs them.
        teller: tells how they ended.
        observer: is told of each as it happens.
        wait_seconds: how long a database that is away is waited for.
    """

    rows: trial_rows.Rows
    proposer: propose.Proposer
    attempts: attempt.Attempts
    teller: tell.Teller
    observer: observers.Audience
    wait_seconds: float

    def work(self, should_stop: Callable[[], bool]) -> Tally:
        """Work until nothing is left to do or `should_stop` says so. A database that is away is waited for.

        A worker that finds nothing to do stays until it has seen that those who hold a trial live (`heirs`).

        Raises:
            errors.BadInput: the trainer rejects the job as it is written; its trial waits for a mended study.
            errors.NothingFeasible: the rules leave no point.
            storage.errors.DatabaseUnreachable: the database stayed away for too long.
            storage.errors.NotFound: the study was deleted.
        """
        tally = Tally(why="it was asked to stop")
        waiting = patience.Patience(self.rows.database, self.wait_seconds, should_stop)
        others = heirs.Heirs(self.rows)
        while not should_stop():
            claim = waiting.call(self.proposer.claim, afterwards_seconds=_HOLDERS_FIRST_SECONDS)
            if isinstance(claim, claims.Refused):
                continue
            if isinstance(claim, claims.Nothing):
                if not waiting.call(lambda: others.may_come(self.proposer.roster.running)):
                    tally.why = claim.why
                    break
                time.sleep(_IDLE_SECONDS)
                continue
            conclusion = self._run(claim, waiting)
            if conclusion is not None:
                tally.count(conclusion.ending)
                _log(claim, conclusion)
        return tally

    def _run(self, claim: claims.Claim, waiting: patience.Patience) -> conclusions.Conclusion | None:
        """From a claim to its telling; None where another trial's result was taken over.

        Raises: see `work`.
        """
        try:
            if (same := claim.same_as) is not None:
                waiting.call(lambda: duplicates.take_over(self.rows, claim.lease, same))
                return None
            self.observer.started(claim.number, claim.params, taken_up=claim.taken_up)
            conclusion = self.attempts.left_behind(claim, waiting) if claim.taken_up else None
            if conclusion is None:
                conclusion = self.attempts.run(claim, waiting)
            is_told = waiting.call(lambda: self.teller.settle(claim, conclusion))
        except storage_errors.LeaseLost as error:
            logger.warning("trial %d is given way: %s", claim.number, error, extra={"trial": claim.number})
            return None
        except BaseException:
            # whatever went wrong is ours, not the trial's: it waits for the next worker, from its checkpoint
            self.attempts.launcher.interrupt()
            with contextlib.suppress(storage_errors.StorageError):
                self.rows.release(claim.lease)
            raise
        with contextlib.suppress(storage_errors.DatabaseUnreachable):  # it reads what is shown; the next claim waits
            self.observer.concluded(claim.number, conclusion)
        if conclusion.ending is conclusions.Ending.REJECTED and not is_told:
            place = self.attempts.place(claim).directory
            raise errors.BadInput(f"{place}: {conclusion.message or 'the trainer rejected the job'}")
        return conclusion


def _log(claim: claims.Claim, conclusion: conclusions.Conclusion) -> None:
    """One canonical line when a trial ends."""
    facts: dict[str, Any] = {
        "trial": claim.number,
        "ending": conclusion.ending.value,
        "values": conclusion.values,
        "failure": None if conclusion.failure is None else conclusion.failure.kind,
        "seconds": round(sum(conclusion.seconds.values()), 1),
    }
    logger.info("trial %d is %s", claim.number, conclusion.ending.value, extra=facts)
