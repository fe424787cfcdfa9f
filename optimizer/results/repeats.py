"""Points that were trained several times: mean, spread, and a best that luck does not decide.

A single training's value is its point's mean plus chance. Where a study repeats its points, that chance is estimated
from all repeats together (pooled over points), and a point is ranked by what it is worth cautiously: its mean less one
standard error. A point that was trained once must therefore be better by more than one that was trained three times.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optimizer.results import records


@dataclasses.dataclass(frozen=True)
class Repeated:
    """A point's usable trials, by number, with mean and sample standard deviation of each objective (None for one)."""

    trials: tuple[int, ...]
    mean: Mapping[str, float]
    spread: Mapping[str, float | None]


def points(found: Sequence[records.TrialRecord]) -> list[list[records.TrialRecord]]:
    """Usable trials, those of one point together; what was trained twice from one seed is one result, counted once."""
    groups: dict[tuple[tuple[str, Any], ...], dict[int, records.TrialRecord]] = {}
    for record in found:
        if record.state == "usable" and not record.taken_over:
            groups.setdefault(tuple(sorted(record.params.items())), {}).setdefault(record.repeat, record)
    return [list(group.values()) for group in groups.values()]


def summary(group: Sequence[records.TrialRecord], objectives: Sequence[str]) -> Repeated:
    """Mean and spread of one point's trials."""
    values = _values(group, objectives)
    spreads = values.std(axis=0, ddof=1) if len(group) > 1 else [None] * len(objectives)
    return Repeated(
        tuple(record.number for record in group),
        dict(zip(objectives, map(float, values.mean(axis=0)), strict=True)),
        {name: None if each is None else float(each) for name, each in zip(objectives, spreads, strict=True)},
    )


def best(found: Sequence[records.TrialRecord], directions: Mapping[str, str]) -> list[records.TrialRecord]:
    """The trials of the best point, its best trial first; empty where nothing is usable.

    The first objective decides, the next ones break ties.
    """
    groups = points(found)
    if not groups:
        return []
    objectives = list(directions)
    signs = np.array([1.0 if direction == "maximize" else -1.0 for direction in directions.values()])
    chance = _pooled_deviation(groups, objectives)

    def worth(group: Sequence[records.TrialRecord]) -> tuple[float, ...]:
        cautious = _values(group, objectives).mean(axis=0) * signs - chance / math.sqrt(len(group))
        return tuple(map(float, cautious))

    chosen = max(groups, key=worth)
    return sorted(chosen, key=lambda record: worth([record]), reverse=True)


def best_trial(found: Sequence[records.TrialRecord], directions: Mapping[str, str]) -> records.TrialRecord | None:
    """The best usable trial: the first objective decides, the next ones break ties; repeats count by their mean.

    A study with several objectives has a whole front of best trials; a person who asks for one gets the end of the
    front that their first objective names.
    """
    return next(iter(best(found, directions)), None)


def _values(group: Sequence[records.TrialRecord], objectives: Sequence[str]) -> np.ndarray:
    """Shape (trials, objectives)."""
    return np.array([[record.values.get(name) or 0.0 for name in objectives] for record in group], dtype=float)


def _pooled_deviation(groups: Sequence[Sequence[records.TrialRecord]], objectives: Sequence[str]) -> np.ndarray:
    """Standard deviation of one training, shape (objectives,), over all points with repeats; 0 where there are none."""
    squares, freedom = np.zeros(len(objectives)), 0
    for group in groups:
        values = _values(group, objectives)
        squares += ((values - values.mean(axis=0)) ** 2).sum(axis=0)
        freedom += len(group) - 1
    pooled: np.ndarray = np.sqrt(squares / freedom) if freedom else squares
    return pooled
