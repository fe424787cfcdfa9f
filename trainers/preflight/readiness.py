"""Whether a job could start: what its trainer, base and judges need, asked in one place before a trial exists.

Torch-free. Every trainer's own needs stand in `_OWN`; a new one adds a line there.
"""

import ast
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from trainers.contract import job
from trainers.files import plain_files
from trainers.preflight import base_files, judge_files
from trainers.training import tracking

Scalar: TypeAlias = bool | int | float | str
#: every value that a parameter may take, by name, where these are known one by one: fixed ones and choices
Given: TypeAlias = Mapping[str, Sequence[Scalar]]

_MOST_SCRIPT_BYTES = 2**24


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """What keeps a study's trials from starting; `where` are the keys of the study file that name it."""

    where: tuple[str, ...]
    message: str


def obstacles(
    trainer: str, given: Given, base: str, evaluation: job.Evaluation, trackers: Sequence[job.Tracker] = ()
) -> list[Obstacle]:
    """Everything that is seen to be missing here; empty where a job can be tried.

    A user's own script reads base and judges as it likes, so these are not looked at for it.
    """
    found = [Obstacle(("launch", "trackers"), problem) for problem in tracking.missing(trackers)]
    found += _OWN[trainer](given)
    if trainer != "command":
        found += [Obstacle(("base",), problem) for problem in base_files.problems(base)]
        found += [Obstacle(("evaluation", "clip"), problem) for problem in judge_files.clip_problems(evaluation.clip)]
        if evaluation.dino is not None:
            eye = judge_files.dino_problems(evaluation.dino)
            found += [Obstacle(("evaluation", "dino"), problem) for problem in eye]
    return found


def _nothing(_given: Given) -> Iterator[Obstacle]:
    yield from ()


def _script(given: Given) -> Iterator[Obstacle]:
    for value in given.get("script", ()):
        path = pathlib.Path(str(value)).expanduser()
        try:
            ast.parse(plain_files.read_text(path, _MOST_SCRIPT_BYTES), str(path))
        except FileNotFoundError:
            yield Obstacle(("fixed", "script"), f"script: {path}: no such file")
        except OSError as error:
            yield Obstacle(("fixed", "script"), f"script: {path}: {plain_files.reason(error)}")
        except (SyntaxError, ValueError, RecursionError) as error:
            yield Obstacle(("fixed", "script"), f"script: {path}: is no Python script: {error}")


_OWN: Mapping[str, Callable[[Given], Iterator[Obstacle]]] = {
    "diffusion-lora": _nothing,
    "command": _script,
    "sd-scripts": _nothing,  # it is asked itself, see trainers.kohya.probe
}
