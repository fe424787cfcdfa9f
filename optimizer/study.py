"""The study file: one YAML document that says what is tried, read strictly into a frozen record.

The reader reports every error of a file at once, each with file, line, column and remedy. A study that runs keeps its
*resolved* form (absolute paths, prompts written out) in the database; it is the same format, read by the same reader.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import pydantic

from constraints import document as documents
from constraints import domain as domains
from constraints import errors as constraint_errors
from optimizer import errors, study_file
from optimizer import space as spaces
from trainers import job as jobs
from trainers import metrics, parameters


class Study(pydantic.BaseModel):
    """A study, resolved: absolute paths, prompts written out, domains checked. `source` is the resolved document."""

    model_config = pydantic.ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    trainer: str
    base: str
    dataset: jobs.Dataset
    space: Mapping[str, domains.Domain]
    fixed: Mapping[str, study_file.Scalar]
    rules: tuple[str, ...]
    objectives: Mapping[str, study_file.Direction]
    search: study_file.Search
    evaluation: jobs.Evaluation
    thresholds: jobs.Thresholds
    launch: study_file.Launch
    source: str

    @property
    def primary(self) -> str:
        """The objective that trials are compared by while they run."""
        return self.search.primary or next(iter(self.objectives))


def read(path: pathlib.Path) -> Study:
    """Read a study file.

    Raises:
        errors.BadInput: the file is missing or wrong; the message lists every problem found.
    """
    try:
        return resolve(documents.read(path), path.parent)
    except constraint_errors.DocumentError as error:
        raise errors.BadInput(str(error)) from error


def parse(text: str, name: str) -> Study:
    """Read a resolved study document, as the database keeps it."""
    try:
        return resolve(documents.parse(text, name), pathlib.Path("/"))
    except constraint_errors.DocumentError as error:
        raise errors.BadInput(str(error)) from error


def resolve(document: documents.Document, folder: pathlib.Path) -> Study:
    """Turn a document into a study; relative paths count from `folder`.

    Raises:
        constraints.errors.DocumentError: with every problem found.
    """
    file = study_file.read(document)
    space, problems = study_file.check(document, file)
    prompts = _prompts(document, file.evaluation.prompts, "prompts", folder, problems)
    held_out = _prompts(document, file.evaluation.held_out, "held_out", folder, problems)
    dataset = file.dataset if isinstance(file.dataset, jobs.Dataset) else jobs.Dataset(path=file.dataset)
    dataset = jobs.Dataset(path=_absolute(dataset.path, folder), repeats=dataset.repeats, flip=dataset.flip)
    base = file.base if file.base == "demo" or not _looks_like_path(file.base) else _absolute(file.base, folder)
    rules = tuple(_absolute(rule, folder) if rule.endswith((".yaml", ".yml")) else rule for rule in file.rules)
    evaluation = {**_judges(file.evaluation, folder), "prompts": prompts, "held_out": held_out}
    asked = jobs.Evaluation.model_construct(**{**evaluation, "dino": file.evaluation.dino})
    for name in file.objectives:
        missing = None if parameters.unknown_trainer(file.trainer) else metrics.untold(file.trainer, name, asked)
        if missing:
            problems.append(document.problem(("objectives", name), missing, "add that, or take it out", key=True))
    if problems:
        raise constraint_errors.DocumentError(tuple(problems))
    earlier = tuple(_absolute(name, folder) if name.endswith(".csv") else name for name in file.search.warm_start)
    search = file.search.model_copy(update={"warm_start": earlier})
    resolved = {
        **file.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "study_version": 1,
        "base": base,
        "dataset": dataset.model_dump(mode="json"),
        "rules": rules,
        "evaluation": evaluation,
        "search": search.model_dump(mode="json", exclude_defaults=True),
    }
    return Study(
        name=file.name,
        trainer=file.trainer,
        base=base,
        dataset=dataset,
        space=space,
        fixed=file.fixed,
        rules=rules,
        objectives=file.objectives,
        search=search,
        evaluation=jobs.Evaluation.model_validate_json(json.dumps(evaluation)),
        thresholds=file.thresholds,
        launch=file.launch,
        source=json.dumps(resolved, indent=1),
    )


def _prompts(
    document: documents.Document,
    value: str | tuple[str, ...],
    key: str,
    folder: pathlib.Path,
    problems: list[constraint_errors.Problem],
) -> list[str]:
    if not isinstance(value, str):
        return list(value)
    path = pathlib.Path(_absolute(value, folder))
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        problems.append(
            document.problem(
                ("evaluation", key), f"cannot read {value}: {error}", "name a text file with a prompt a line, or a list"
            )
        )
        return []
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        problems.append(document.problem(("evaluation", key), f"{value} holds no prompt", "write a prompt a line"))
    return prompts


def _judges(evaluation: study_file.EvaluationEntry, folder: pathlib.Path) -> dict[str, Any]:
    """The evaluation with absolute paths to the folders and files of its judges; names stay as they are."""
    written = evaluation.model_dump(mode="json", exclude_none=True)
    for judge, key in (("clip", "model"), ("clip", "pretrained"), ("dino", "weights")):
        if judge in written and _looks_like_path(written[judge][key]):
            written[judge][key] = _absolute(written[judge][key], folder)
    return written


def _looks_like_path(source: str) -> bool:
    return source.startswith((".", "/", "~")) or source.endswith((".safetensors", ".pt", ".pth", ".bin"))


def _absolute(path: str, folder: pathlib.Path) -> str:
    return str((folder / pathlib.Path(path).expanduser()).resolve())


def complete(study: Study, sampled: Mapping[str, Any]) -> dict[str, study_file.Scalar]:
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
