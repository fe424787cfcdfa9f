"""The job file of an attempt: what its trainer is told, and whether an earlier one asked for the same."""

import pathlib
from collections.abc import Mapping
from typing import Any

from optimizer.trials import campaign as campaigns
from optimizer.trials import propose
from trainers.contract import errors as trainer_errors
from trainers.contract import job, paths


def trial_paths(campaign: campaigns.Campaign, number: int) -> paths.TrialPaths:
    """Where everything of a trial lies."""
    return paths.TrialPaths(campaign.settings.run_directory(campaign.stored.folder, number))


def of(campaign: campaigns.Campaign, claim: propose.Claim, folder: paths.JobPaths) -> job.TrainJob:
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
                directory=str(trial_paths(campaign, claim.number).directory),
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


def is_the_same(wanted: job.TrainJob, file: pathlib.Path) -> bool:
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
