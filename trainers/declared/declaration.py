"""What a trainer says of itself: everything that others must know of it, so that they need not know which one it is.

Torch-free. A study, its rules, its search and its job files ask a declaration; the recipe that trains is named here and
imported only by the process that trains.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from trainers.contract import job
from trainers.contract.milestones import Milestones
from trainers.data.showings import Showings, Sizing
from trainers.lora import footprint as footprints
from trainers.preflight import cautions as cautions_
from trainers.terms import contradictions as trainer_contradictions
from trainers.terms import metrics as trainer_metrics
from trainers.terms import suggestions
from trainers.terms.inquiry import Inquiry, Obstacle, TrainerReadiness
from trainers.terms.parameters import OpenTable, ParameterTable
from trainers.terms.sections import ResolvedSection, SectionProblem


class InspectedDataset(Protocol):
    """What is known of a data set before training.

    `hash` changes with whatever of it is trained on; `showings` is what an epoch shows; `notes` are for people.
    """

    @property
    def hash(self) -> str: ...
    @property
    def showings(self) -> Showings: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


def _as_written(written: Any, _folder: pathlib.Path) -> ResolvedSection:
    return ResolvedSection(written.model_dump(mode="json", exclude_none=True))


def _nothing(*_: Any) -> Iterator[Any]:
    yield from ()


@dataclasses.dataclass(frozen=True)
class DatasetSection:
    """The study file's `dataset:`.

    Attributes:
        model: what a job carries.
        written: what a study file may say.
        stands_in: something that may be written, where a person's own cannot be read.
        inspect: reads all of it; raises `errors.DatasetError`, which names everything that is wrong.
        items: what it is made of, in the plural.
        resolve: what stands for itself wherever it is read, from the folder of the study file.
    """

    model: type[job.Record]
    written: Any
    stands_in: Any
    inspect: Callable[[Any], InspectedDataset]
    items: str = "images"
    resolve: Callable[[Any, pathlib.Path], ResolvedSection] = _as_written


@dataclasses.dataclass(frozen=True)
class EvaluationSection:
    """The study file's `evaluation:`.

    Attributes:
        model, written, stands_in, resolve: as of a data set.
        problems: what is wrong with it as written, beyond its form.
        milestones: when trials are scored while they train; None where they are not. Told of both forms.
    """

    model: type[job.Record]
    written: type[job.Record]
    stands_in: Any
    problems: Callable[[Any], Iterable[SectionProblem]] = _nothing
    milestones: Callable[[Any], Milestones | None] = lambda _evaluation: None
    resolve: Callable[[Any, pathlib.Path], ResolvedSection] = _as_written


@dataclasses.dataclass(frozen=True)
class Declaration:
    """One trainer.

    Attributes:
        name: what a study file calls it.
        summary: one line for people.
        recipe: what runs it, a `trainers.recipes.Recipe`, as `module:class`; imported in the trainer's process alone.
        parameters: what it can be told; an `OpenTable` takes other names, too.
        needs: parameters that it cannot do without, each with what to do about it.
        contradictions: what it cannot train together.
        dataset, evaluation: its sections of the study file.
        metrics: what it tells of a finished trial; None where that may be anything.
        signals: what it tells while it trains beside what every `step` event holds; None where it tells nothing then.
        batches: how it cuts an epoch into batches, by which steps are counted beforehand; None where nobody knows.
        footprint: what trials take by their base and evaluation, before any has run; None where that is not known.
        obstacles: what keeps it from starting, as far as it is seen at once.
        ask: asks the trainer itself, which may take half a minute.
        cautions: what should be known of a data set, and of an evaluation over it.
        exports: formats that a trial of it can be written in, beside json and csv.
    """

    name: str
    summary: str
    recipe: str
    parameters: ParameterTable
    dataset: DatasetSection
    evaluation: EvaluationSection
    metrics: trainer_metrics.MetricTable | None
    signals: Mapping[str, str] | None
    needs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    contradictions: Sequence[trainer_contradictions.Contradiction] = ()
    batches: Sizing | None = None
    footprint: Callable[[str, Any], footprints.Footprint | None] = lambda _base, _evaluation: None
    obstacles: Callable[[Inquiry], Iterable[Obstacle]] = _nothing
    ask: Callable[[Inquiry], TrainerReadiness] = lambda _inquiry: TrainerReadiness()
    cautions: Callable[[Inquiry, Any], cautions_.Cautions] = lambda _inquiry, _facts: cautions_.Cautions()
    exports: tuple[str, ...] = ()

    # -- parameters ----------------------------------------------------------------------------------------------------

    @property
    def takes_any_parameter(self) -> bool:
        return isinstance(self.parameters, OpenTable)

    def defaults(self, searched: Collection[str]) -> dict[str, job.Scalar]:
        """What a trial trains with where neither study nor trial says anything, but for parameters that follow."""
        return {
            name: parameter.default
            for name, parameter in self.parameters.items()
            if parameter.default is not None and name not in searched
        }

    def derived(self, given: Collection[str]) -> dict[str, str]:
        """Parameters that follow from `given` ones, as expressions of the rule language."""
        ratios = {name.removesuffix("_ratio"): ratio for name, ratio in self.parameters.items() if ratio.share_of}
        return {
            name: f"{ratio.share_of} * {ratio.name}"
            for name, ratio in ratios.items()
            if name not in given and ratio.name in given
        }

    def unknown_name(self, name: str) -> str | None:
        """Say that there is no parameter `name`, with the nearest one that there is; or None."""
        if name in self.parameters or self.takes_any_parameter:
            return None
        return f"{name}: {self.name} has no such parameter{suggestions.nearest(name, self.parameters)}"

    def missing(self, given: Collection[str]) -> list[str]:
        """What it cannot do without and is not among the `given` parameters, in words."""
        return [f"{name}: missing; {what}" for name, what in self.needs.items() if name not in given]

    def check(self, params: Mapping[str, job.Scalar]) -> list[str]:
        """Find everything that is wrong with a trial's parameters; an empty list means that they can be trained."""
        known = self.parameters
        problems = [problem for name in params if (problem := self.unknown_name(name))]
        problems += [problem for name in params if name in known and (problem := known[name].problem(params[name]))]
        problems += self.missing(params)
        return problems or self.contradicted(params)

    def contradicted(self, params: Mapping[str, job.Scalar]) -> list[str]:
        """What one trial's parameters contradict, in words; empty where they can be trained."""
        return trainer_contradictions.of_point(self.contradictions, params)

    def contradicted_points(self, columns: Mapping[str, Any], count: int) -> trainer_contradictions.Mask:
        """Which of many points contradict something, shape (points,); see `contradictions.of_points`."""
        return trainer_contradictions.of_points(self.contradictions, columns, count)

    # -- what it tells -------------------------------------------------------------------------------------------------

    def untold(self, metric: str, evaluation: Any) -> str | None:
        """Say what a study lacks for a known metric to be told, or None where it is told."""
        found = None if self.metrics is None else self.metrics.get(metric)
        if found is None or found.is_told(evaluation):
            return None
        return f"{metric} is told only where {found.condition}"
