"""The study file: one YAML document that says what is tried, read strictly into a frozen record.

The reader reports every error of a file at once, each with file, line, column and remedy. A study that runs keeps its
*resolved* form (absolute paths, prompts written out) in the database; it is the same format, read by the same reader.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

from constraints.names import domain as domains
from constraints.names import world as worlds
from constraints.text import document as documents
from constraints.text import errors as constraint_errors
from optimizer import errors
from optimizer.study import problems as study_problems
from optimizer.study import space as spaces
from optimizer.study import written as study_file
from trainers.contract import job as jobs
from trainers.contract import milestones
from trainers.declared import declaration, registry
from trainers.files import places

#: what cannot be read of the files that `dataset` and `evaluation` name, beside sections that cannot
CONTENT = "content"


class Study(pydantic.BaseModel):
    """A study, resolved: absolute paths, prompts written out, domains checked. `source` is the resolved document.

    `dataset` and `evaluation` are records of its trainer's own.
    """

    model_config = pydantic.ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    trainer: str
    base: str
    dataset: Any
    space: Mapping[str, domains.Domain]
    fixed: Mapping[str, jobs.Scalar]
    rules: tuple[str, ...]
    objectives: Mapping[str, worlds.Direction]
    search: study_file.SearchEntry
    evaluation: Any
    thresholds: jobs.Thresholds
    launch: study_file.LaunchEntry
    source: str
    #: of the row that keeps it, by which it is found whatever it is called; None before it is stored
    id: str | None = None

    @property
    def declared(self) -> declaration.Declaration:
        """What its trainer says of itself."""
        return registry.of(self.trainer)

    @property
    def milestones(self) -> milestones.Milestones | None:
        """When its trials are scored while they train; None where they are not."""
        return self.declared.evaluation.milestones(self.evaluation)

    @property
    def primary(self) -> str:
        """The objective that trials are compared by while they run."""
        return self.search.primary or next(iter(self.objectives))


@dataclasses.dataclass(frozen=True)
class Draft:
    """A study file as far as it can be read, so that all its problems can be told at once.

    Attributes:
        study: the study; neutral values stand where a section cannot be read.
        broken: sections that cannot be read, and `CONTENT` of files they name; what follows from them means nothing.
        problems: everything that is wrong with the file itself.
        document: says where everything stands.
    """

    study: Study
    broken: frozenset[str]
    problems: tuple[constraint_errors.Problem, ...]
    document: documents.Document


def read(path: pathlib.Path) -> Study:
    """Read a study file.

    Raises:
        errors.BadInput: the file is missing or wrong; the message lists every problem found.
    """
    return _whole(draft(path))


def draft(path: pathlib.Path) -> Draft:
    """Read a study file as far as it goes.

    Raises:
        errors.BadInput: there is no such file, or it is no YAML that could be read further.
    """
    try:
        return resolve(documents.read(path), path.parent)
    except constraint_errors.DocumentError as error:
        raise errors.BadInput(str(error)) from error


def parse(text: str, name: str) -> Study:
    """Read a resolved study document, as the database keeps it."""
    try:
        return _whole(resolve(documents.parse(text, name), pathlib.Path("/")))
    except constraint_errors.DocumentError as error:
        raise errors.BadInput(str(error)) from error


def _whole(drafted: Draft) -> Study:
    if drafted.problems:
        raise errors.BadInput(str(constraint_errors.DocumentError(drafted.problems)))
    return drafted.study


def resolve(document: documents.Document, folder: pathlib.Path) -> Draft:
    """Turn a document into a study; relative paths count from `folder`."""
    form = study_file.read(document)
    file = form.file
    space, problems = study_problems.check(document, form)
    problems += form.problems
    broken = set(form.broken)
    if space is None:
        broken.add("space")
    declared = form.declared
    dataset, evaluation = (
        declared.dataset.resolve(file.dataset, folder),
        declared.evaluation.resolve(file.evaluation, folder),
    )
    problems += study_problems.placed(document, (*dataset.problems, *evaluation.problems))
    if not (dataset.is_whole and evaluation.is_whole):
        broken.add(CONTENT)
    asked = declared.evaluation.model.model_validate_json(json.dumps(evaluation.document))
    if not broken & {"objectives", "trainer", "evaluation", CONTENT}:
        problems += _untold(document, form, asked)
    study = _study(form, space or {}, folder, dataset.document, evaluation.document, asked)
    if len(study.source) > documents.MAXIMUM_BYTES:
        text = f"the study with its prompts written out holds {len(study.source):,} bytes"
        remedy = f"at most {documents.MAXIMUM_BYTES:,} are kept: write fewer or shorter prompts"
        problems.append(document.problem(("evaluation",), text, remedy))
    return Draft(study, frozenset(broken), tuple(problems), document)


def _untold(
    document: documents.Document, form: study_file.Form, evaluation: jobs.Record
) -> Iterator[constraint_errors.Problem]:
    """Objectives that the trainer tells only under a condition that this study does not meet."""
    if registry.unknown(form.file.trainer):
        return
    for name in form.file.objectives:
        missing = form.declared.untold(name, evaluation)
        if missing:
            yield document.problem(("objectives", name), missing, "add that, or take it out", key=True)


def _study(
    form: study_file.Form,
    space: Mapping[str, domains.Domain],
    folder: pathlib.Path,
    dataset: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    asked: jobs.Record,
) -> Study:
    file = form.file
    base = places.absolute(file.base, folder) if _is_path(file.base, folder) else file.base
    rules = tuple(places.absolute(rule, folder) if rule.endswith((".yaml", ".yml")) else rule for rule in file.rules)
    earlier = tuple(places.absolute(name, folder) if name.endswith(".csv") else name for name in file.search.warm_start)
    search = file.search.model_copy(update={"warm_start": earlier})
    fixed = _with_paths(form, folder)
    resolved = {
        **file.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "study_version": 1,
        "base": base,
        "dataset": dataset,
        "rules": rules,
        "evaluation": evaluation,
        "search": search.model_dump(mode="json", exclude_defaults=True),
        **({"fixed": fixed} if fixed else {}),
    }
    return Study(
        name=file.name,
        trainer=file.trainer,
        base=base,
        dataset=form.declared.dataset.model.model_validate_json(json.dumps(dataset)),
        space=space,
        fixed=fixed,
        rules=rules,
        objectives=file.objectives,
        search=search,
        evaluation=asked,
        thresholds=file.thresholds,
        launch=file.launch,
        source=json.dumps(resolved, indent=1),
    )


def _with_paths(form: study_file.Form, folder: pathlib.Path) -> dict[str, jobs.Scalar]:
    """The fixed parameters; those that name a file or folder count from the study file's."""
    if registry.unknown(form.file.trainer):
        return dict(form.file.fixed)
    known = form.declared.parameters
    return {
        name: places.absolute(value, folder)
        if isinstance(value, str) and name in known and known[name].is_path
        else value
        for name, value in form.file.fixed.items()
    }


def _is_path(base: str, folder: pathlib.Path) -> bool:
    """Whether a base is a path, and no hub id: it looks like one, or stands beside the study file."""
    return base != "demo" and (places.looks_like_path(base) or os.path.exists(folder / os.path.expanduser(base)))


def complete(study: Study, sampled: Mapping[str, Any]) -> dict[str, jobs.Scalar]:
    """All parameters of a trial: what is fixed and what was sampled."""
    return {**study.fixed, **sampled}


#: what must stay the same for the trials of one study to be compared with each other
_IDENTITY = ("trainer", "base", "dataset", "space", "fixed", "objectives", "evaluation")


def incompatible(old: Study, new: Study) -> list[str]:
    """The sections in which two studies of one name differ so that their trials would not compare."""
    return [name for name in _IDENTITY if getattr(old, name) != getattr(new, name)]


def check_point(study: Study, point: Mapping[str, Any]) -> None:
    """Check a point that a person named; it may leave parameters out.

    Raises:
        errors.BadInput: a parameter is not searched, or its value lies outside of its domain.
    """
    problems = []
    for name, value in point.items():
        if name not in study.space:
            hint = documents.did_you_mean(name, study.space)
            problems.append(f"{name}: this study does not search it; {hint}")
        elif not study.space[name].contains(value):
            problems.append(f"{name}: {value!r} is outside of {spaces.describe(study.space[name])}")
    if problems:
        raise errors.BadInput("\n".join(problems))
