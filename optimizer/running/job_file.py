"""The job file of an attempt: what its trainer is told, and whether an earlier one asked for the same."""

import pathlib
from collections.abc import Mapping
from typing import Any

from optimizer.study import resolved as studies
from optimizer.trials import claims
from trainers.contract import errors as trainer_errors
from trainers.contract import job, paths
from trainers.declared import jobs


def of(
    study: studies.Study,
    claim: claims.Claim,
    trial: paths.TrialPaths,
    folder: paths.JobPaths,
    cache: pathlib.Path,
    record: Mapping[str, str],
) -> job.TrainJob:
    """Everything the trainer is told: one trial, complete parameters, where to put what.

    Args:
        study: under the name that it has by now.
        trial: where everything of the trial lies.
        folder: ... and what this attempt at it tells.
        cache: where trainers keep what they need not work out twice.
        record: what the LoRA says of where it comes from.
    """
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
                directory=str(trial.directory),
            ),
        ),
        directory=str(folder.directory),
        cache=str(cache),
        trackers=study.launch.trackers,
        record=dict(record),
    )


def is_the_same(wanted: job.TrainJob, file: pathlib.Path) -> bool:
    """Whether a job file asks for what is wanted now.

    Rules judge its outcome, trackers only look on, and a study that is renamed is the same one.
    """
    try:
        found = jobs.read(file)
    except trainer_errors.JobError:
        return False
    return _essence(found) == _essence(wanted)


def _essence(train_job: job.TrainJob) -> Mapping[str, Any]:
    said = train_job.model_dump(exclude={"trackers", "study"})
    return {**said, "record": {name: told for name, told in said["record"].items() if name not in ("rules", "study")}}
