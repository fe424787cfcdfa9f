"""What a study asks of its trainer before anything runs, and what the trainer answers. Torch-free."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainers.contract import job


@dataclasses.dataclass(frozen=True)
class Inquiry:
    """A study as its trainer sees it.

    Attributes:
        fixed: parameters that every trial has.
        values: every value that a parameter may take, fixed ones too, where these can be counted.
        evaluation: the trainer's own record.
        count_gpus: of this machine, which takes a moment to answer.
    """

    base: str
    fixed: Mapping[str, job.Scalar]
    values: Mapping[str, Sequence[job.Scalar]]
    evaluation: Any
    count_gpus: Callable[[], int]


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """What keeps a study's trials from starting; `where` are the keys of the study file that name it."""

    where: tuple[str, ...]
    message: str


@dataclasses.dataclass(frozen=True)
class TrainerReadiness:
    """What stands in a trainer's way, and what it said of itself, each a line for people."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
