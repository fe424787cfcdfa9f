"""Telling Optuna how a trial ended, once, by the one who holds its lease."""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import optuna
import sqlalchemy as sa

from optimizer import jsonable
from optimizer.results import records
from optimizer.trials import campaign as campaigns
from optimizer.trials import conclusion as score
from optimizer.trials import propose
from storage import artifacts, errors, leases, results, runs

logger = logging.getLogger(__name__)

State = optuna.trial.TrialState
#: what is final, and how Optuna is told (docs/explanation/architecture.md, decision 2)
_STATES = {
    score.Ending.USABLE: State.COMPLETE,
    score.Ending.UNUSABLE: State.PRUNED,
    score.Ending.STOPPED_EARLY: State.PRUNED,
}


def settle(campaign: campaigns.Campaign, claim: propose.Claim, conclusion: score.Conclusion) -> bool:
    """Tell what is final, give back what is not, and let the trial go; returns whether the trial has ended.

    Telling twice is as good as once. A worker whose lease was taken over tells nothing: its successor does. A trial
    that somebody else has told meanwhile, by hand in optuna-dashboard, stays as it was told.

    Raises:
        errors.NotFound: the study was deleted.
    """
    state = _STATES.get(conclusion.ending)
    if _is_another_try_wanted(conclusion.ending) and _attempts_are_used_up(campaign, claim):
        state = State.FAIL
    if state is None:
        campaign.release(claim.lease)
        return False
    try:
        with leases.telling(campaign.database, claim.lease) as connection:
            campaign.follow(connection)
            images = _attach(campaign, connection, claim, conclusion)
            results.record(connection, claim.lease, _result(campaign, claim, conclusion, images))
            campaign.end_trial(
                connection,
                claim.number,
                state,
                values=conclusion.values if state is State.COMPLETE else None,
                attributes=_attributes(conclusion),
                constraints=conclusion.constraints,
            )
    except errors.LeaseLost as error:
        campaign.require_study()
        logger.warning("trial %d is not told: %s", claim.number, error, extra={"trial": claim.number})
    except (errors.TrialEnded, optuna.exceptions.UpdateFinishedTrialError):
        before = campaign.stored.optuna_id
        campaign.require_study()
        if campaign.stored.optuna_id != before:  # renamed at that very moment
            return settle(campaign, claim, conclusion)
        _keep_beside(campaign, claim, conclusion)
    return True


def _keep_beside(campaign: campaigns.Campaign, claim: propose.Claim, conclusion: score.Conclusion) -> None:
    """Keep what was measured of a trial that Optuna has another outcome of."""
    with leases.telling(campaign.database, claim.lease) as connection:
        results.record(connection, claim.lease, _result(campaign, claim, conclusion, list(conclusion.images)))
    logger.warning(
        "trial %d was told by somebody else meanwhile, and stays so; what was measured is kept beside it",
        claim.number,
        extra={"trial": claim.number},
    )


def _is_another_try_wanted(ending: score.Ending) -> bool:
    return ending in (score.Ending.CRASHED, score.Ending.REJECTED)


def _attempts_are_used_up(campaign: campaigns.Campaign, claim: propose.Claim) -> bool:
    """Whether a trial has failed as often as the study allows; what only the machine is to blame for does not count."""
    attempts = runs.of_trial(campaign.database, campaign.study_id, claim.number)
    failed = [run for run in attempts if run.outcome == score.Ending.CRASHED or _was_refused(run)]
    return len(failed) >= campaign.study.launch.attempts


def _was_refused(run: runs.Run) -> bool:
    return run.outcome == score.Ending.REJECTED and run.failure_kind == "refused-job"


def _attributes(conclusion: score.Conclusion) -> dict[str, object]:
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
            said[records.STOP_RULE] = conclusion.failure.rule
    if conclusion.stopped_by is not None:
        said[records.STOPPED_BY] = conclusion.stopped_by
    if conclusion.steps is not None:
        said |= {records.STEPS: conclusion.steps, records.TOTAL_STEPS: conclusion.total_steps}
    if conclusion.message:
        said["message"] = conclusion.message[-2000:]
    return said


def _attach(
    campaign: campaigns.Campaign, connection: sa.Connection, claim: propose.Claim, conclusion: score.Conclusion
) -> list[Mapping[str, Any]]:
    """Upload the images before the trial is told (afterwards Optuna refuses); returns them with their artifact ids."""
    if not conclusion.images:
        return []
    trial = campaign.look_at_trials(connection)[claim.number]
    attached: list[Mapping[str, Any]] = []
    for image in conclusion.images:
        path = pathlib.Path(str(image["path"]))
        if path.is_file():
            artifact = artifacts.upload(campaign.artifact_store, campaign.optuna_storage, trial, path)
            attached.append({**image, "artifact": artifact})
        else:
            logger.warning("trial %d: %s: no such picture", claim.number, path, extra={"trial": claim.number})
    return attached


def _result(
    campaign: campaigns.Campaign,
    claim: propose.Claim,
    conclusion: score.Conclusion,
    images: list[Mapping[str, Any]],
) -> results.Result:
    return results.Result(
        trial_number=claim.number,
        outcome=conclusion.ending.value,
        metrics=conclusion.metrics,
        images=images,
        rule_version_ids=campaign.rule_version_ids,
        failure=jsonable.of(conclusion.failure),
        lora_path=conclusion.lora,
        lora_sha256=conclusion.lora_sha256,
    )
