"""A job file read as its trainer understands it. Torch-free."""

import json
import pathlib
from typing import Any

import pydantic

from trainers.contract import errors, job
from trainers.declared import registry


def read(path: pathlib.Path) -> job.TrainJob:
    """Read a job file, its data set and evaluation with the models of the trainer that it names.

    Raises:
        errors.JobError: the file is missing, is no JSON, has a wrong or unknown field, or names no trainer.
    """
    plain = job.read(path)
    unknown = registry.unknown(plain.trainer)
    if unknown:
        raise errors.JobError(unknown)
    declared = registry.of(plain.trainer)
    understood = {
        name: _read(path, name, model, getattr(plain, name))
        for name, model in {"dataset": declared.dataset.model, "evaluation": declared.evaluation.model}.items()
    }
    return plain.model_copy(update=understood)


def _read(path: pathlib.Path, name: str, model: type[job.Record], document: Any) -> job.Record:
    try:
        return model.model_validate_json(json.dumps(document))
    except pydantic.ValidationError as error:
        raise job.refused(path, error, name) from error
