"""The study file as people write it: its form, as far as it can be read."""

import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Generic, Literal

import pydantic

from constraints.names import world as worlds
from constraints.text import document as documents
from constraints.text import errors as constraint_errors
from trainers.contract import job as jobs
from trainers.declared import declaration, registry

#: parts of the rule language and of file paths stay out of names, so that a name is safe everywhere it is shown
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

#: what a search keeps in memory, and what its generators take as a seed once a worker's number is added
MOST_TRIALS = 1_000_000
MOST_SEED = 2**31 - 1


class SpaceEntry(pydantic.BaseModel):
    """One entry of `space:`: exactly one of float, int or choices."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    float_: Annotated[tuple[float, float] | None, pydantic.Field(alias="float")] = None
    int_: Annotated[tuple[int, int] | None, pydantic.Field(alias="int")] = None
    choices: tuple[jobs.Scalar, ...] | None = None
    step: float | int | None = None
    log: bool = False
    when: str | None = None


class SearchEntry(jobs.Record):
    """How proposals are made."""

    sampler: Literal["tpe", "gp", "random", "qmc", "nsga2", "cmaes"] = "tpe"
    trials: Annotated[int, pydantic.Field(ge=1, le=MOST_TRIALS)] = 40
    seed: Annotated[int, pydantic.Field(ge=0, le=MOST_SEED)] = 42
    refusals: Literal["resample", "prune"] = "resample"
    startup_trials: Annotated[int, pydantic.Field(ge=1, le=MOST_TRIALS)] = 10
    #: whether a point that was tried is drawn again, and trained again where a person asks for it
    duplicates: Literal["avoid", "train"] = "avoid"
    #: how often each usable point is trained in all, each time from another seed
    repeats: Annotated[int, pydantic.Field(ge=1, le=1000)] = 1
    #: earlier studies by name, or CSV files, whose trials teach the sampler
    warm_start: tuple[str, ...] = ()
    #: points that are tried first; parameters left out are drawn
    start: tuple[Mapping[str, jobs.Scalar], ...] = ()
    #: which of Optuna's pruners ends trials that fall behind others, and the objective they are compared by
    pruner: Literal["none", "hyperband", "asha", "median", "wilcoxon"] = "none"
    primary: str | None = None


class LaunchEntry(jobs.Record):
    """How trainer processes are started: one warm process for many trials, or a fresh one for each.

    `trackers` are shown what trials tell, beside the event files.
    """

    isolation: Literal["warm", "process"] = "warm"
    replace_after: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 50
    attempts: Annotated[int, pydantic.Field(ge=1, le=1000)] = 3
    trackers: tuple[jobs.Tracker, ...] = ()


class StudyFile(jobs.Record, Generic[jobs.DatasetT, jobs.EvaluationT]):
    """A study file, as written; what its data set and its evaluation may say is its trainer's own matter."""

    study_version: Literal[1]
    name: Annotated[str, pydantic.Field(pattern=NAME)]
    trainer: str = registry.DEFAULT.name
    base: str
    dataset: jobs.DatasetT
    space: Annotated[Mapping[str, SpaceEntry], pydantic.Field(min_length=1)]
    fixed: Mapping[str, jobs.Scalar] = {}
    rules: tuple[str, ...] = ()
    objectives: Annotated[Mapping[str, worlds.Direction], pydantic.Field(min_length=1)]
    search: SearchEntry = SearchEntry()
    evaluation: jobs.EvaluationT
    thresholds: jobs.Thresholds = jobs.Thresholds()
    launch: LaunchEntry = LaunchEntry()


@dataclasses.dataclass(frozen=True)
class Form:
    """A study file's form as far as it can be read.

    `declared` is what its trainer says of itself; that of the usual one where the file names none that there is.
    `broken` names the sections that cannot: neutral values stand in `file` for them, and nothing that follows from
    them means anything.
    """

    file: StudyFile
    declared: declaration.Declaration
    broken: frozenset[str]
    problems: tuple[constraint_errors.Problem, ...]


#: what stands in for a section that cannot be read and that no study can do without
_STAND_INS: Mapping[str, Any] = {
    "study_version": 1,
    "name": "unnamed",
    "base": "demo",
    "space": {"anything": {"float": [0.0, 1.0]}},
    "objectives": {"anything": "maximize"},
}


def read(document: documents.Document) -> Form:
    """The written form, as far as it can be read, with every problem of it."""
    declared = registry.looked_at(document.data.get("trainer", registry.DEFAULT.name))
    problems = list(_unreadable(document))
    broken = {str(place) for loc, _ in problems for place in loc[:1]}
    whole = {name: value for name, value in document.data.items() if name not in broken}
    try:
        file = _validated(declared, {**_stand_ins(declared, broken), **whole})
        return Form(file, declared, frozenset(broken), _placed(document, problems))
    except pydantic.ValidationError as error:
        found = documents.problems_of(document, error, _model(declared))
        broken |= {str(each["loc"][0]) for each in error.errors() if each["loc"]}
    whole = {name: value for name, value in document.data.items() if name not in broken}
    file = _validated(declared, {**_stand_ins(declared, broken), **whole})
    return Form(file, declared, frozenset(broken), (*_placed(document, problems), *found))


def _stand_ins(declared: declaration.Declaration, broken: Collection[str]) -> dict[str, Any]:
    of_trainer = {"dataset": declared.dataset.stands_in, "evaluation": declared.evaluation.stands_in}
    return {name: value for name, value in {**_STAND_INS, **of_trainer}.items() if name in broken}


def _unreadable(document: documents.Document) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where a text holds what no file, database or tokenizer takes: NUL, or half of a surrogate pair."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document.data)]
    while waiting:
        loc, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*loc, name), inner) for name, inner in value.items()]
            waiting += [((*loc, name), name) for name in value]
        elif isinstance(value, list):
            waiting += [((*loc, at), inner) for at, inner in enumerate(value)]
        elif isinstance(value, str) and ("\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
            yield loc, f"holds a character that cannot be stored: {value[:40]!r}"


def _placed(
    document: documents.Document, problems: Iterable[tuple[tuple[str | int, ...], str]]
) -> tuple[constraint_errors.Problem, ...]:
    return tuple(document.problem(loc, message, "take the character out") for loc, message in problems)


def _model(declared: declaration.Declaration) -> type[StudyFile]:
    return StudyFile[declared.dataset.written, declared.evaluation.written]  # type: ignore[name-defined]


def _validated(declared: declaration.Declaration, data: Any) -> StudyFile:
    return _model(declared).model_validate_json(json.dumps(data))
