"""The study file as people write it: its form, and what can be wrong with what it says.

Each problem has its line, column and remedy.
"""

import collections
import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic

from constraints.judging import conditions
from constraints.names import domain as domains
from constraints.text import document as documents
from constraints.text import errors as constraint_errors
from optimizer.study import space as spaces
from trainers.contract import job as jobs
from trainers.declared import metrics, parameters

Scalar = bool | int | float | str
Direction = Literal["maximize", "minimize"]

#: parts of the rule language and of file paths stay out of names, so that a name is safe everywhere it is shown
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

#: what a search keeps in memory, and what its generators take as a seed once a worker's number is added
MOST_TRIALS = 1_000_000
MOST_SEED = 2**31 - 1
#: prompts of one evaluation, each drawn with every seed after every trial
MOST_PROMPTS = 1000


class Entry(pydantic.BaseModel):
    """One entry of `space:`: exactly one of float, int or choices."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    float_: Annotated[tuple[float, float] | None, pydantic.Field(alias="float")] = None
    int_: Annotated[tuple[int, int] | None, pydantic.Field(alias="int")] = None
    choices: tuple[Scalar, ...] | None = None
    step: float | int | None = None
    log: bool = False
    when: str | None = None


class Search(jobs.Record):
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
    start: tuple[Mapping[str, Scalar], ...] = ()
    #: which of Optuna's pruners ends trials that fall behind others, and the objective they are compared by
    pruner: Literal["none", "hyperband", "asha", "median", "wilcoxon"] = "none"
    primary: str | None = None


class EvaluationEntry(jobs.Record):
    """`evaluation:` as written: prompts may stand in a text file, a line each."""

    prompts: str | tuple[str, ...]
    held_out: str | tuple[str, ...] = ()
    seeds: Annotated[tuple[jobs.Seed, ...], pydantic.Field(min_length=1)] = (1, 2)
    steps: jobs.SamplerSteps = 20
    guidance_scale: Annotated[float, pydantic.Field(ge=0, le=1000)] = 7.5
    negative_prompt: str = ""
    clip: jobs.ClipModel = jobs.ClipModel()
    dino: jobs.DinoModel | None = None
    during: jobs.During | None = None


class Launch(jobs.Record):
    """How trainer processes are started: one warm process for many trials, or a fresh one for each.

    `trackers` are shown what trials tell, beside the event files.
    """

    isolation: Literal["warm", "process"] = "warm"
    replace_after: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 50
    attempts: Annotated[int, pydantic.Field(ge=1, le=1000)] = 3
    trackers: tuple[jobs.Tracker, ...] = ()


class StudyFile(jobs.Record):
    """A study file, as written."""

    study_version: Literal[1]
    name: Annotated[str, pydantic.Field(pattern=NAME)]
    trainer: str = "diffusion-lora"
    base: str
    #: a path, or the dataset with its options
    dataset: str | jobs.Dataset
    space: Annotated[Mapping[str, Entry], pydantic.Field(min_length=1)]
    fixed: Mapping[str, Scalar] = {}
    rules: tuple[str, ...] = ()
    objectives: Annotated[Mapping[str, Direction], pydantic.Field(min_length=1)]
    search: Search = Search()
    evaluation: EvaluationEntry
    thresholds: jobs.Thresholds = jobs.Thresholds()
    launch: Launch = Launch()


@dataclasses.dataclass(frozen=True)
class Form:
    """A study file's form as far as it can be read.

    `broken` names the sections that cannot: neutral values stand in `file` for them, and nothing that follows from
    them means anything.
    """

    file: StudyFile
    broken: frozenset[str]
    problems: tuple[constraint_errors.Problem, ...]


#: what stands in for a section that cannot be read and that no study can do without
_STAND_INS: Mapping[str, Any] = {
    "study_version": 1,
    "name": "unnamed",
    "base": "demo",
    "dataset": ".",
    "space": {"learning_rate": {"float": [1e-5, 1e-3]}},
    "objectives": {"clip_score": "maximize"},
    "evaluation": {"prompts": ["a picture"]},
}


def read(document: documents.Document) -> Form:
    """The written form, as far as it can be read, with every problem of it."""
    problems = list(_unreadable(document))
    broken = {str(place) for loc, _ in problems for place in loc[:1]}
    whole = {name: value for name, value in document.data.items() if name not in broken}
    try:
        return Form(_validated({**_stand_ins(broken), **whole}), frozenset(broken), _placed(document, problems))
    except pydantic.ValidationError as error:
        found = documents.problems_of(document, error, StudyFile)
        broken |= {str(each["loc"][0]) for each in error.errors() if each["loc"]}
    whole = {name: value for name, value in document.data.items() if name not in broken}
    file = _validated({**_stand_ins(broken), **whole})
    return Form(file, frozenset(broken), (*_placed(document, problems), *found))


def _stand_ins(broken: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in _STAND_INS.items() if name in broken}


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


def _validated(data: Any) -> StudyFile:
    return StudyFile.model_validate_json(json.dumps(data))


def check(
    document: documents.Document, form: Form
) -> tuple[dict[str, domains.Domain] | None, list[constraint_errors.Problem]]:
    """The domains of the space, parents before the parameters that depend on them, and everything that is wrong.

    There are no domains where something is wrong with one of them, or with what is fixed beside them.
    """
    file, broken = form.file, form.broken
    problems: list[constraint_errors.Problem] = []
    space: dict[str, domains.Domain] | None = None
    if not broken & {"space", "fixed"}:
        found = _space(document, file, problems)
        if "trainer" not in broken:
            _check_parameters(document, file, found, problems)
        space = None if problems else found
        if "search" not in broken:
            _check_start(document, file, found, problems)
    if "evaluation" not in broken:
        problems += _evaluation_problems(document, file)
    if not broken & {"objectives", "trainer"}:
        problems += _objective_problems(document, file)
        if not broken & {"search", "evaluation"}:
            problems += _pruning_problems(document, file)
    return space, problems


def _space(
    document: documents.Document, file: StudyFile, problems: list[constraint_errors.Problem]
) -> dict[str, domains.Domain]:
    """The domains, parents before the parameters that depend on them; what is wrong is added to `problems`."""
    space = {}
    for name, entry in file.space.items():
        kinds = [kind for kind in ("float", "int", "choices") if getattr(entry, _FIELD[kind]) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            problems.append(
                document.problem(("space", name), f"{name} needs exactly one of float, int, choices; it has {found}")
            )
            continue
        try:
            space[name] = _domain(name, kinds[0], entry)
        except constraint_errors.ConstraintsError as error:
            problems.append(document.problem(("space", name, kinds[0]), str(error)))
    if problems:
        return space
    try:
        ordered = domains.in_order(space, tuple(file.fixed))
    except constraint_errors.ConstraintsError as error:
        problems.append(document.problem(("space",), str(error)))
        return space
    for name, wrong in conditions.problems(ordered, file.fixed).items():
        problems += [
            document.problem_inside(("space", name, "when"), error.start, error.message, error.hint) for error in wrong
        ]
    return ordered


_FIELD = {"float": "float_", "int": "int_", "choices": "choices"}


def _domain(name: str, kind: str, entry: Entry) -> domains.Domain:
    if kind == "choices":
        _refuse_scale(name, entry)
        return domains.Domain(name=name, kind="choice", choices=entry.choices or (), when=entry.when)
    low, high = entry.int_ or entry.float_ or (0.0, 0.0)
    return domains.Domain(
        name=name,
        kind="int" if kind == "int" else "float",
        low=low,
        high=high,
        step=entry.step,
        log=entry.log,
        when=entry.when,
    )


def _refuse_scale(name: str, entry: Entry) -> None:
    if entry.step is not None or entry.log:
        raise constraint_errors.ConstraintsError(f"{name}: choices have neither step nor log; take them out")


def _check_parameters(
    document: documents.Document,
    file: StudyFile,
    space: Mapping[str, domains.Domain],
    problems: list[constraint_errors.Problem],
) -> None:
    """The trainer knows every parameter, and accepts every value that could be proposed."""
    unknown = parameters.unknown_trainer(file.trainer)
    if unknown:
        problems.append(document.problem(("trainer",), unknown))
        return
    for name in sorted(set(file.fixed) & set(file.space)):
        problems.append(
            document.problem(("fixed", name), f"{name} is both searched and fixed", "take it out of space or of fixed")
        )
    for text in parameters.missing(file.trainer, {**file.fixed, **file.space}):
        message, _, remedy = text.partition("; ")
        problems.append(document.problem(("fixed",), message, remedy))
    known = parameters.table(file.trainer)
    for section, name, values in _values(file, space):
        unknown = parameters.unknown_name(file.trainer, name)
        if unknown:
            problems.append(document.problem((section, name), unknown, key=True))
            continue
        wrong = filter(None, (known[name].problem(value) for value in values))
        problems.extend(document.problem((section, name), text) for text in wrong)


def _check_start(
    document: documents.Document,
    file: StudyFile,
    space: Mapping[str, domains.Domain],
    problems: list[constraint_errors.Problem],
) -> None:
    """Starting points name parameters that are searched, with values of their domains."""
    for at, point in enumerate(file.search.start):
        for name, value in point.items():
            where = ("search", "start", at, name)
            if name not in file.space:
                problems.append(document.problem(where, f"{name} is not searched", "take it out", key=True))
            elif name in space and not space[name].contains(value):
                problems.append(
                    document.problem(where, f"{name}: {value!r} is outside of {spaces.describe(space[name])}")
                )


def _evaluation_problems(document: documents.Document, file: StudyFile) -> Iterator[constraint_errors.Problem]:
    """Nothing is drawn twice, or of nothing."""
    for key, written in (("prompts", file.evaluation.prompts), ("held_out", file.evaluation.held_out)):
        if not isinstance(written, str):
            yield from prompt_problems(document, key, written)
    yield from _twice(
        document, ("evaluation", "seeds"), file.evaluation.seeds, "the same pictures would be drawn twice"
    )


def prompt_problems(
    document: documents.Document, key: str, prompts: Sequence[str]
) -> Iterator[constraint_errors.Problem]:
    """What is wrong with a list of prompts, written out or read from a file."""
    where = ("evaluation", key)
    if key == "prompts" and not prompts:
        yield document.problem(where, "prompts are empty; nothing would be drawn", "write at least one prompt")
    if len(prompts) > MOST_PROMPTS:
        yield document.problem(where, f"{len(prompts):,} prompts; at most {MOST_PROMPTS:,} are drawn after each trial")
    for at, prompt in enumerate(prompts):
        if not prompt.strip():
            yield document.problem((*where, at), f"prompt {at + 1} is blank", "write a prompt, or take it out")
    yield from _twice(document, where, [prompt.strip() for prompt in prompts], "each would count twice in the scores")


def _twice(
    document: documents.Document, where: tuple[str, ...], values: Sequence[Scalar], why: str
) -> Iterator[constraint_errors.Problem]:
    counted = collections.Counter(value for value in values if value != "")
    for value in (each for each, times in counted.items() if times > 1):
        at = len(values) - 1 - list(reversed(values)).index(value)
        yield document.problem((*where, at), f"{value!r} is there {counted[value]} times; {why}", "keep it once")


def _objective_problems(document: documents.Document, file: StudyFile) -> Iterator[constraint_errors.Problem]:
    """Each objective is something that the trainer tells."""
    if parameters.unknown_trainer(file.trainer) or (told := metrics.table(file.trainer)) is None:
        return
    for name in file.objectives:
        where = ("objectives", name)
        if name not in told:
            hint = documents.did_you_mean(name, told)
            yield document.problem(where, f"{file.trainer} tells no '{name}' of a trial", hint, key=True)


def _pruning_problems(document: documents.Document, file: StudyFile) -> Iterator[constraint_errors.Problem]:
    """A pruner needs scores to compare: points at which they are taken, and one objective."""
    search, objectives = file.search, file.objectives
    if file.evaluation.during is not None and file.trainer == "sd-scripts":
        text = "sd-scripts tells nothing while it trains, so nothing can be scored during training"
        yield document.problem(("evaluation", "during"), text, "take it out", key=True)
    if search.primary is not None and search.primary not in objectives:
        hint = documents.did_you_mean(search.primary, objectives)
        yield document.problem(("search", "primary"), f"{search.primary} is not among the objectives", hint)
    if search.pruner == "none":
        return
    where = ("search", "pruner")
    if file.evaluation.during is None:
        text = f"{search.pruner} compares scores while trials train, and none are taken"
        yield document.problem(where, text, "add `during: {every_samples: N}` to `evaluation`")
    if search.primary is None and len(objectives) > 1:
        text = f"{search.pruner} compares trials by one objective, and there are {len(objectives)}"
        yield document.problem(where, text, f"add `primary: {next(iter(objectives))}`, or another of them, to `search`")
    primary = search.primary or next(iter(objectives))
    if search.pruner == "wilcoxon" and file.trainer == "diffusion-lora" and primary != "clip_score":
        text = f"wilcoxon compares prompt by prompt, and {primary} is not told for each prompt"
        yield document.problem(where, text, "compare by clip_score, or use another pruner")


def _values(file: StudyFile, space: Mapping[str, domains.Domain]) -> Iterator[tuple[str, str, tuple[Scalar, ...]]]:
    for name, value in file.fixed.items():
        yield "fixed", name, (value,)
    for name, domain in space.items():
        yield "space", name, domain.choices or (domain.low, domain.high)
