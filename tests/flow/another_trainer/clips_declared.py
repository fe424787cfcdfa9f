"""A trainer of another kind, as its own package would declare it: it tells classes of clips apart."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pydantic

from trainers.contract import errors, job
from trainers.data import showings
from trainers.declared import declaration
from trainers.files import places
from trainers.terms import metrics, parameters
from trainers.terms.sections import ResolvedSection, SectionProblem


class Dataset(job.Record):
    """A folder of clips by class; `frames` of each are looked at."""

    path: str
    frames: Annotated[int, pydantic.Field(ge=1)] = 2


class Evaluation(job.Record):
    """Clips that training never sees, in a folder by class."""

    clips: str


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip: an array of shape (frames, height, width)."""

    file: pathlib.Path
    label: str
    width: int
    height: int
    repeats: int = 1


@dataclasses.dataclass(frozen=True)
class Facts:
    clips: tuple[Clip, ...]
    hash: str
    notes: tuple[str, ...] = ()

    @property
    def showings(self) -> showings.Showings:
        return showings.of(self.clips)


def inspect(dataset: Dataset) -> Facts:
    files = sorted(pathlib.Path(dataset.path).glob("*/*.npy"))
    if not files:
        raise errors.DatasetError(f"{dataset.path}: holds no clips; put arrays into a folder a class")
    clips = tuple(Clip(file, file.parent.name, *np.load(file).shape[:0:-1]) for file in files)
    content = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return Facts(clips, content.hexdigest())


def of_dataset(written: Dataset, folder: pathlib.Path) -> ResolvedSection:
    return ResolvedSection({**written.model_dump(), "path": places.absolute(written.path, folder)})


def of_evaluation(written: Evaluation, folder: pathlib.Path) -> ResolvedSection:
    clips = places.absolute(written.clips, folder)
    missing = SectionProblem(("evaluation", "clips"), f"{clips}: no such folder", "name a folder of clips by class")
    return ResolvedSection({"clips": clips}, () if pathlib.Path(clips).is_dir() else (missing,))


def problems(written: Evaluation) -> Iterator[SectionProblem]:
    if not written.clips.strip():
        yield SectionProblem(("evaluation", "clips"), "clips is blank", "name a folder of clips by class")


DECLARATION = declaration.Declaration(
    name="clip-classes",
    summary="tells classes of clips apart",
    recipe="clips_recipe:ClipsRecipe",
    parameters=parameters.table(
        parameters.Parameter("learning_rate", "float", "Rate of the classifier.", low=0, high=10),
        parameters.Parameter("max_train_epochs", "int", "Passes over the clips.", unit="epochs", low=1, default=10),
        parameters.Parameter("train_batch_size", "int", "Clips in one step.", unit="clips", low=1, default=1),
    ),
    dataset=declaration.DatasetSection(
        model=Dataset, written=Dataset, stands_in={"path": "."}, inspect=inspect, items="clips", resolve=of_dataset
    ),
    evaluation=declaration.EvaluationSection(
        model=Evaluation, written=Evaluation, stands_in={"clips": "."}, problems=problems, resolve=of_evaluation
    ),
    metrics=metrics.table(metrics.Metric("accuracy", "share of held-out clips that are told right")),
    signals={"train_accuracy": "share of training clips that are told right"},
    batches=lambda width, height, _resolution, _step: (width, height),
)
