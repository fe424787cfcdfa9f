"""A job file carries its trainer's own data set and evaluation, and is checked on both sides by the same models."""

import json
import pathlib
from collections.abc import Callable

import pytest

from trainers.contract import errors, job, paths
from trainers.declared import jobs
from trainers.lora import sections

Make = Callable[..., job.TrainJob]


def written(train_job: job.TrainJob) -> pathlib.Path:
    path = paths.JobPaths(pathlib.Path(train_job.directory)).job
    train_job.write(path)
    return path


def test_what_was_written_is_read_back_with_its_types(make_job: Make) -> None:
    made = make_job(evaluation={"during": sections.During(every_samples=8)})
    assert jobs.read(written(made)) == made


def test_the_contract_alone_gives_plain_documents(make_job: Make) -> None:
    made = make_job()
    plain = job.read(written(made))
    assert plain.evaluation == made.evaluation.model_dump(mode="json")
    assert plain.dataset["path"] == made.dataset.path


def test_every_field_that_is_wrong_is_named_with_its_place(make_job: Make) -> None:
    path = written(make_job())
    document = json.loads(path.read_text())
    document["evaluation"] |= {"steps": 0, "sede": 1}
    path.write_text(json.dumps(document))
    with pytest.raises(errors.JobError) as caught:
        jobs.read(path)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["evaluation.steps", "evaluation.sede"]


def test_a_trainer_that_is_not_there_is_named(make_job: Make) -> None:
    with pytest.raises(errors.JobError, match="did you mean diffusion-lora"):
        jobs.read(written(make_job(trainer="diffusion_lora")))
