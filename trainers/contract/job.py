"""The job file: everything a trainer process is told, and the exit codes it answers with.

A job names one base model and a list of trials, usually one; trials that share a frozen base may be trained together,
so everything that differs between trials stands in `TrialSpec`.
"""

import enum
import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal

import pydantic
from typing_extensions import TypeVar

from trainers.contract import errors
from trainers.files import atomic

Scalar = bool | int | float | str
Tracker = Literal["tensorboard", "wandb"]


class ExitCode(enum.IntEnum):
    """How a trainer process ends. A trial that its parameters made fail is a result (an event), not an exit code."""

    #: every trial of the job has its outcome in the event file
    DONE = 0
    #: a bug of ours; the traceback is in the job's console.log
    BUG = 1
    #: the job cannot be run as it is: unreadable image, unknown optimizer, no such base model
    BAD_INPUT = 2
    #: the machine failed: disk full, I/O error, lost device; the same trial may be tried elsewhere
    MACHINE = 74
    #: asked to stop (SIGTERM, SIGINT): a checkpoint is written, the same trial goes on from it
    INTERRUPTED = 75


class Record(pydantic.BaseModel):
    """Strict and frozen: a typo in a job file is an error, never a default."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Cosine = Annotated[float, pydantic.Field(ge=-1, le=1)]


class Thresholds(Record):
    """Where a healthy signal ends. Pixels are in 0..255; shares and rates in 0..1.

    The image thresholds tell *broken* from *dark on purpose*: black means that nearly nothing is lit, flat that there
    is no structure at all, saturated that nearly every pixel sits at 0 or 255 in every channel.
    """

    #: an image is black when its mean is below this
    black_mean: Annotated[float, pydantic.Field(ge=0, le=255)] = 4.0
    #: an image is flat when the largest standard deviation of its three channels is below this
    flat_deviation: Annotated[float, pydantic.Field(ge=0, le=255)] = 6.0
    #: an image is saturated when more than this share of its channel values is < 3 or > 252
    saturated_share: Share = 0.98
    #: the gradient explodes when its norm is above this many times its running median, for several steps on end
    grad_norm_ratio: Annotated[float, pydantic.Field(gt=0)] = 50.0
    #: no steps are judged by the ratio before this one: the median is not yet known
    grad_norm_after_step: Annotated[int, pydantic.Field(ge=0)] = 20
    #: nothing was learned when the norm of all LoRA updates together is below this
    update_norm: Annotated[float, pydantic.Field(ge=0)] = 1e-8
    #: different prompts, same image: mean pairwise CLIP similarity between prompts above this
    collapse_similarity: Cosine = 0.995
    #: an image copies the training set when its CLIP similarity to one training image is above this; off at 1
    copying_similarity: Cosine = 1.0
    #: CLIP score below the untrained base's by more than this fails the trial; off when not set
    below_base_margin: Annotated[float, pydantic.Field(ge=0)] | None = None
    #: an image lost its prompt when its CLIP score is below that of the untrained base's image of the same prompt and
    #: noise by more than this; off when not set
    off_prompt_margin: Annotated[float, pydantic.Field(ge=0)] | None = None


class TrialSpec(Record):
    """One trial of a job.

    `params` are complete: what was sampled, what is fixed and what rules derive (network_alpha), in the field's names.
    `directory` is the trial's own folder; a checkpoint found there is resumed.
    """

    number: Annotated[int, pydantic.Field(ge=0)]
    params: Mapping[str, Scalar]
    seed: int
    directory: str


#: what a trainer's data set and its evaluation look like is its own matter
DatasetT = TypeVar("DatasetT", default=Any)
EvaluationT = TypeVar("EvaluationT", default=Any)


class TrainJob(Record, Generic[DatasetT, EvaluationT]):
    """Everything a trainer process is told.

    `dataset` and `evaluation` are the trainer's own; `trainers.declared.jobs.read` reads them with its models.
    `directory` takes the job's event file and console log; `cache` is shared by all trials and workers of this machine.
    `trackers` are shown what the trials tell. `record` (study, rule version, dataset hash, ...) is written into the
    LoRA file's metadata as it is.
    """

    job_version: Literal[1] = 1
    trainer: str
    study: str
    base: str
    dataset: DatasetT
    evaluation: EvaluationT
    thresholds: Thresholds = Thresholds()
    trials: Annotated[tuple[TrialSpec, ...], pydantic.Field(min_length=1)]
    directory: str
    cache: str
    checkpoint_every_steps: Annotated[int, pydantic.Field(ge=0)] = 200
    report_every_steps: Annotated[int, pydantic.Field(ge=1)] = 10
    trackers: tuple[Tracker, ...] = ()
    record: Mapping[str, str] = {}

    def write(self, path: pathlib.Path) -> None:
        """Write the job atomically: a reader sees all of it or nothing.

        Raises:
            OSError: the disk is full or failed; nothing is left behind.
        """
        atomic.write(path, self.model_dump_json(indent=1).encode())


def read(path: pathlib.Path) -> TrainJob:
    """Read a job file, its data set and evaluation as plain documents.

    Raises:
        errors.JobError: the file is missing, is no JSON or has a wrong or unknown field.
    """
    try:
        return TrainJob.model_validate_json(path.read_bytes())
    except OSError as error:
        raise errors.JobError(f"{path}: cannot read the job file: {error.strerror}") from error
    except pydantic.ValidationError as error:
        raise refused(path, error) from error


def refused(path: pathlib.Path, error: pydantic.ValidationError, *within: str) -> errors.JobError:
    """What is wrong with the part of a job file that lies `within` a field, each with its place."""
    problems = (
        f"{path}: {'.'.join(map(str, (*within, *problem['loc']))) or 'job'}: {problem['msg']}"
        for problem in error.errors()
    )
    return errors.JobError("\n".join(problems))


def stop_rule(path: pathlib.Path) -> str:
    """The id of the rule that a trial's stop file (`paths.TrialPaths.stop`) names."""
    return str(json.loads(path.read_text(encoding="utf-8"))["rule"])
