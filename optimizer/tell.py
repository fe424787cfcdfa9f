"""Telling Optuna how a trial ended, once, by the one who holds its lease."""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import optuna
import sqlalchemy as sa

from optimizer import campaign as campaigns
from optimizer import propose, records, score
from storage import artifacts, errors, leases, results, runs

logger = logging.getLogger(__name__)

State = optuna.trial.TrialState
#: what is final, and how Optuna is told (docs/explanation/architecture.md, decision 2)
_STATES = {
    score.Ending.USABLE: State.COMPLETE,
    score.Ending.UNUSABLE: State.PRUNED,
    score.Ending.STOPPED_EARLY: State.PRUNED,
}


def settle(campaign: campaigns.Campaign, claim: propose.Claim, conclusion: score.Conclusion) -> None:
    """Tell what is final, give back what is not, and let the trial go.

    A worker whose lease was taken over tells nothing: its successor does.
    """
    state = _STATES.get(conclusion.ending)
    if conclusion.ending is score.Ending.CRASHED and _attempts_are_used_up(campaign, claim):
        state = State.FAIL
    if state is None:
        campaign.release(claim.lease)
        return
    try:
        with leases.telling(campaign.database, claim.lease) as connection:
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
        logger.warning("trial %d is not told: %s", claim.number, error, extra={"trial": claim.number})


def _attempts_are_used_up(campaign: campaigns.Campaign, claim: propose.Claim) -> bool:
    attempts = runs.listed(campaign.database, campaign.study_id)
    crashed = [run for run in attempts if run.trial_number == claim.number and run.outcome == score.Ending.CRASHED]
    return len(crashed) >= campaign.study.launch.attempts


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
        artifact = artifacts.upload(campaign.artifact_store, campaign.optuna_storage, trial, path)
        attached.append({**image, "artifact": artifact})
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
        rule_version_id=campaign.book.versions[0].id if campaign.book.versions else None,
        failure=None if conclusion.failure is None else conclusion.failure.as_json(),
        lora_path=conclusion.lora,
        lora_sha256=conclusion.lora_sha256,
    )
