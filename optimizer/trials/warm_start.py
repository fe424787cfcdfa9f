"""What a new study learns from earlier ones: their finished trials, judged by its rules and mapped into its space.

Prior trials teach the sampler and are no trials of the study: they cost nothing of its budget, show in no table, and
are never its best. What does not fit is left out, and said.
"""

import collections
import csv
import dataclasses
import io
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from constraints.judging import verdict as verdicts
from constraints.names import domain as domains
from optimizer import attributes, errors
from optimizer.results import records, table
from optimizer.study import resolved as studies
from optimizer.study import space
from trainers.files import plain_files

#: a table of earlier trials; a million of them hold less
_MOST_BYTES = 256 * 2**20


@dataclasses.dataclass(frozen=True)
class MappedTrial:
    """A trial from before. `values` are in the order of the study's objectives; None where it was unusable."""

    params: Mapping[str, Any]
    values: tuple[float, ...] | None
    source: str


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What earlier studies come to, as a study keeps it. `left_out` counts what does not fit, by source and reason."""

    priors: tuple[MappedTrial, ...]
    left_out: Mapping[str, int]


def gather(
    study: studies.Study,
    judge: Callable[[Mapping[str, Any]], verdicts.Verdict],
    read_study: Callable[[str], tuple[studies.Study, Sequence[records.TrialRecord]]],
) -> Gathered:
    """Read every source that a study names under `warm_start`.

    Args:
        judge: this study's rules.
        read_study: a study of the database by its name.

    Raises:
        errors.BadInput: a CSV file is missing or lacks columns.
    """
    priors: list[MappedTrial] = []
    left_out: collections.Counter[str] = collections.Counter()
    for source in study.search.warm_start:
        rows = _csv(study, pathlib.Path(source)) if source.endswith(".csv") else _trials(study, *read_study(source))
        for params, values, unusable in rows:
            if misfit := unusable or _misfit(study, judge, params):
                left_out[f"{source}: {misfit}"] += 1
            else:
                searched = {name: params[name] for name in study.space if name in params}
                priors.append(MappedTrial(searched, values, source))
    return Gathered(tuple(priors), left_out)


def trials(study: studies.Study, priors: Sequence[MappedTrial]) -> list[optuna.trial.FrozenTrial]:
    """Prior trials as Optuna's samplers read them."""
    return [
        optuna.trial.create_trial(
            state=TrialState.PRUNED if prior.values is None else TrialState.COMPLETE,
            values=prior.values,
            params=dict(prior.params),
            distributions={name: space.distribution(study.space[name]) for name in prior.params},
            constraints={attributes.TRAINING: float(prior.values is None)},
        )
        for prior in priors
    ]


_STOPPED = "stopped early, so its result is not known"
EarlierTrial = tuple[Mapping[str, Any], tuple[float, ...] | None, str]


def _trials(study: studies.Study, old: studies.Study, found: Sequence[records.TrialRecord]) -> Iterator[EarlierTrial]:
    """An earlier study's trained trials: complete parameters, values, and why one cannot be used."""
    for record in found:
        if record.state not in records.TRAINED:
            continue
        params = studies.complete(old, record.params)
        if record.state == "stopped-early":
            yield params, None, _STOPPED
            continue
        if record.state == "unusable":
            yield params, None, ""
            continue
        values = [record.values.get(name) for name in study.objectives]
        missing = [name for name, value in zip(study.objectives, values, strict=True) if value is None]
        reason = f"no value of {', '.join(missing)}" if missing else ""
        yield params, tuple(value for value in values if value is not None), reason


def _csv(study: studies.Study, path: pathlib.Path) -> Iterator[EarlierTrial]:
    """A table with a column for each parameter and objective; a cell left empty is a parameter that is not set.

    One that `study export --format csv` wrote says what became of each trial, too: those that trained are taken.
    """
    try:
        reader = csv.DictReader(io.StringIO(plain_files.read_text(path, _MOST_BYTES)))
        wanted = [*study.objectives, *(name for name, domain in study.space.items() if domain.when is None)]
        missing = [name for name in wanted if name not in (reader.fieldnames or ())]
        if missing:
            raise errors.BadInput(
                f"{path}:1: warm_start needs a column for each parameter and objective; {', '.join(missing)} is missing"
            )
        yield from (_row(study, row) for row in reader if row.get(table.STATE, "usable") in records.TRAINED)
    except OSError as error:
        reason = plain_files.reason(error)
        raise errors.BadInput(f"{path}: cannot be read: {reason}; correct `search.warm_start`") from error
    except csv.Error as error:
        raise errors.BadInput(f"{path}: is no CSV: {error}; correct `search.warm_start`") from error


def check_table(study: studies.Study, path: pathlib.Path) -> None:
    """See whether a CSV file of earlier trials can be read.

    Raises:
        errors.BadInput: it is missing, is no CSV, or lacks columns.
    """
    for _ in _csv(study, path):
        pass


def _row(study: studies.Study, row: Mapping[str, str]) -> EarlierTrial:
    params = {name: _value(domain, row[name]) for name, domain in study.space.items() if row.get(name)}
    params |= {name: _same_kind(value, row[name]) for name, value in study.fixed.items() if row.get(name)}
    state = row.get(table.STATE, "usable")
    if state != "usable":
        return params, None, _STOPPED if state == "stopped-early" else ""
    try:
        values = tuple(float(row[name]) for name in study.objectives)
    except (ValueError, TypeError):  # a short line has no cell there
        return params, None, "an objective is not a number"
    return (params, values, "") if all(map(math.isfinite, values)) else (params, None, "an objective is not finite")


def _value(domain: domains.Domain, text: str) -> Any:
    """A cell as a value of its domain; one that is none stays text, and is left out as outside of the domain."""
    if domain.kind == "choice":
        return next((choice for choice in domain.choices if _same_kind(choice, text) == choice), text)
    try:
        return int(text) if domain.kind == "int" else float(text)
    except ValueError:
        return text


def _same_kind(like: Any, text: str) -> Any:
    if isinstance(like, bool):
        return text.strip().lower() == "true"
    if isinstance(like, int | float):
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _misfit(
    study: studies.Study, judge: Callable[[Mapping[str, Any]], verdicts.Verdict], params: Mapping[str, Any]
) -> str:
    """Why a trial does not fit into a study, or nothing."""
    for name, value in study.fixed.items():
        if name in params and params[name] != value:
            return f"{name} is fixed to {value!r} here"
    searched: dict[str, Any] = {}
    for name, domain in study.space.items():
        if name not in params:
            if domain.when is None:
                return f"{name} is not known"
            continue
        if not domain.contains(params[name]):
            return f"{name} is outside of {space.describe(domain)}"
        searched[name] = params[name]
    refused = judge(searched).refused_by
    return f"refused by {', '.join(refused)}" if refused else ""
