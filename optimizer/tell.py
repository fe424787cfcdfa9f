"""Telling Optuna how a trial ended, once, by the one who holds its lease."""

import json
import logging
import pathlib

import optuna

from optimizer import campaign as campaigns
from optimizer import propose, score
from storage import artifacts, leases, runs

logger = logging.getLogger(__name__)

State = optuna.trial.TrialState


def settle(campaign: campaigns.Campaign, claim: propose.Claim, conclusion: score.Conclusion) -> None:
    """Tell what is final, give back what is not, and let the trial go.

    A worker whose lease was taken over tells nothing: its successor does.
    """
    final = {
        score.Ending.USABLE: State.COMPLETE,
        score.Ending.UNUSABLE: State.PRUNED,
    }.get(conclusion.ending)
    if conclusion.ending is score.Ending.CRASHED and _attempts_are_used_up(campaign, claim):
        final = State.FAIL
    with campaign.lock():
        if final is not None and leases.is_held(campaign.database, claim.lease):
            _tell(campaign, claim, conclusion, final)
        campaign.release(claim.lease)


def _attempts_are_used_up(campaign: campaigns.Campaign, claim: propose.Claim) -> bool:
    crashes = runs.count(campaign.database, campaign.study_id, claim.number, ending=score.Ending.CRASHED.value)
    return crashes >= campaign.study.launch.attempts


def _tell(campaign: campaigns.Campaign, claim: propose.Claim, conclusion: score.Conclusion, state: State) -> None:
    trial = campaign.trial(claim.number)
    _attach(campaign, trial, claim, conclusion)
    for name, value in _attributes(conclusion).items():
        trial.set_user_attr(name, value)
    for key, constraint in conclusion.constraints.items():
        trial.set_constraint(key, constraint)
    values = list(conclusion.values) if state is State.COMPLETE and conclusion.values is not None else None
    campaign.optuna_study.tell(claim.number, values, state=state)


def _attributes(conclusion: score.Conclusion) -> dict[str, object]:
    """What the trial's row says beside parameters and values; the dashboard shows it, `study show` reads it back."""
    said: dict[str, object] = {
        "seconds": dict(conclusion.seconds),
        "steps": conclusion.steps,
        "total_steps": conclusion.total_steps,
    }
    if conclusion.metrics:
        said["metrics"] = dict(conclusion.metrics)
    if conclusion.failure is not None:
        said["failure"] = conclusion.failure.as_json()
    if conclusion.lora is not None:
        said["lora"] = conclusion.lora
        said["lora_sha256"] = conclusion.lora_sha256
    if conclusion.message:
        said["message"] = conclusion.message[-2000:]
    return said


def _attach(
    campaign: campaigns.Campaign, trial: optuna.Trial, claim: propose.Claim, conclusion: score.Conclusion
) -> None:
    """Upload the images before the trial is told; afterwards Optuna refuses."""
    folder = campaign.settings.run_directory(campaign.study.name, claim.number)
    if conclusion.images:
        described = folder / "images.json"
        described.write_text(json.dumps(list(conclusion.images), indent=1), encoding="utf-8")
    for image in conclusion.images:
        path = pathlib.Path(str(image["path"]))
        if path.exists():
            artifacts.attach(campaign.artifact_store, trial, path)
