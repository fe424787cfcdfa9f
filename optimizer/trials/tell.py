"""Telling Optuna how a trial ended, once, by the one who holds its lease."""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from optimizer import attributes, jsonable
from optimizer.rules import book as rulebook
from optimizer.trials import claims
from optimizer.trials import conclusion as conclusions
from optimizer.trials import rows as trial_rows
from storage import attempts as stored_attempts
from storage import errors, results

logger = logging.getLogger(__name__)

#: what is final, and how Optuna is told (docs/explanation/architecture.md, decision 2)
_STATES = {
    conclusions.Ending.USABLE: TrialState.COMPLETE,
    conclusions.Ending.UNUSABLE: TrialState.PRUNED,
    conclusions.Ending.STOPPED_EARLY: TrialState.PRUNED,
}


@dataclasses.dataclass(frozen=True)
class Teller:
    """Tells how trials ended.

    Attributes:
        rows: where trials are written.
        book: the rules that a result was judged by.
        attempts: how often a trial may fail before it is given up.
    """

    rows: trial_rows.Rows
    book: rulebook.Rulebook
    attempts: int

    def settle(self, claim: claims.Claim, conclusion: conclusions.Conclusion) -> bool:
        """Tell what is final, give back what is not, and let the trial go; returns whether the trial has ended.

        Telling twice is as good as once. A worker whose lease was taken over tells nothing: its successor does. A trial
        that somebody else has told meanwhile, by hand in optuna-dashboard, stays as it was told.

        Raises:
            errors.NotFound: the study was deleted.
        """
        state = _STATES.get(conclusion.ending)
        if _is_another_try_wanted(conclusion.ending) and self._attempts_are_used_up(claim):
            state = TrialState.FAIL
        if state is None:
            self.rows.release(claim.lease)
            return False
        try:
            with self.rows.telling(claim.lease) as writing:
                images = _attach(writing, claim.number, conclusion)
                results.record(writing.connection, claim.lease, self._result(claim, conclusion, images))
                writing.end(
                    claim.number,
                    state,
                    values=conclusion.values if state is TrialState.COMPLETE else None,
                    attributes=_said(conclusion),
                    constraints=conclusion.constraints,
                )
        except errors.LeaseLost as error:
            self.rows.require_study()
            logger.warning("trial %d is not told: %s", claim.number, error, extra={"trial": claim.number})
        except (errors.TrialEnded, optuna.exceptions.UpdateFinishedTrialError):
            before = self.rows.stored.optuna_id
            self.rows.require_study()
            if self.rows.stored.optuna_id != before:  # renamed at that very moment
                return self.settle(claim, conclusion)
            self._keep_beside(claim, conclusion)
        return True

    def _keep_beside(self, claim: claims.Claim, conclusion: conclusions.Conclusion) -> None:
        """Keep what was measured of a trial that Optuna has another outcome of."""
        with self.rows.telling(claim.lease) as writing:
            result = self._result(claim, conclusion, list(conclusion.images))
            results.record(writing.connection, claim.lease, result)
        logger.warning(
            "trial %d was told by somebody else meanwhile, and stays so; what was measured is kept beside it",
            claim.number,
            extra={"trial": claim.number},
        )

    def _attempts_are_used_up(self, claim: claims.Claim) -> bool:
        """Whether a trial has failed as often as the study allows; what the machine alone is to blame for is free."""
        attempts = stored_attempts.of_trial(self.rows.database, self.rows.study_id, claim.number)
        failed = [run for run in attempts if run.ending == conclusions.Ending.CRASHED or _was_refused(run)]
        return len(failed) >= self.attempts

    def _result(
        self, claim: claims.Claim, conclusion: conclusions.Conclusion, images: Sequence[Mapping[str, Any]]
    ) -> results.TrialResult:
        return results.TrialResult(
            trial_number=claim.number,
            ending=conclusion.ending.value,
            metrics=conclusion.metrics,
            images=images,
            rule_version_ids=self.book.version_ids,
            failure=jsonable.of(conclusion.failure),
            lora_path=conclusion.lora,
            lora_sha256=conclusion.lora_sha256,
        )


def _is_another_try_wanted(ending: conclusions.Ending) -> bool:
    return ending in (conclusions.Ending.CRASHED, conclusions.Ending.REJECTED)


def _was_refused(run: stored_attempts.AttemptRow) -> bool:
    return run.ending == conclusions.Ending.REJECTED and run.failure_kind == "refused-job"


def _said(conclusion: conclusions.Conclusion) -> dict[str, object]:
    """What a person browsing the dashboard wants to see beside parameters and values; flat, so that it can be sorted.

    An unusable trial has no values in Optuna, so what was measured of it stands here alone.
    """
    said: dict[str, object] = {
        name: value for name, value in conclusion.metrics.items() if isinstance(value, bool | int | float | str)
    }
    said["seconds"] = round(sum(conclusion.seconds.values()), 2)
    if conclusion.failure is not None:
        said["failure"] = conclusion.failure.kind
        if conclusion.failure.rule is not None:
            said[attributes.STOP_RULE] = conclusion.failure.rule
    if conclusion.stopped_by is not None:
        said[attributes.STOPPED_BY] = conclusion.stopped_by
    if conclusion.steps is not None:
        said |= {attributes.STEPS: conclusion.steps, attributes.TOTAL_STEPS: conclusion.total_steps}
    if conclusion.message:
        said["message"] = conclusion.message[-2000:]
    return said


def _attach(
    writing: trial_rows.Writing, number: int, conclusion: conclusions.Conclusion
) -> Sequence[Mapping[str, Any]]:
    """Upload the images before the trial is told (afterwards Optuna refuses); returns them with their artifact ids."""
    if not conclusion.images:
        return []
    trial = writing.trials()[number]
    attached: list[Mapping[str, Any]] = []
    for image in conclusion.images:
        path = pathlib.Path(str(image["path"]))
        if path.is_file():
            attached.append({**image, "artifact": writing.attach(trial, path)})
        else:
            logger.warning("trial %d: %s: no such picture", number, path, extra={"trial": number})
    return attached
