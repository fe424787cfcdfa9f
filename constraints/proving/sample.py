"""Quasi-random points of a space, spread as a random sampler would spread them, and shares with standard errors.

Sobol sequences, scrambled (Owen 1998). Each scrambling gives an unbiased estimate of a share; the spread of the
estimates of several independent ones gives its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from constraints.judging.conditions import Conditions
from constraints.names.domain import LARGEST_INT, Domain, Value, in_order

POINTS = 2**16
SCRAMBLINGS = 16


@dataclass(frozen=True)
class Sample:
    """Columns of shape (points,), a parameter that is not set being NaN or None.

    `exact` says that these are all points of a finite space, so that shares have no error.
    """

    columns: Mapping[str, Any]
    points: int
    exact: bool

    def share(self, mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
        """Share of the points in `mask`, shape (points,), and its standard error."""
        if self.exact:
            return float(mask.mean()), 0.0
        estimates = mask.reshape(SCRAMBLINGS, -1).mean(axis=1)
        return float(estimates.mean()), float(estimates.std(ddof=1) / math.sqrt(SCRAMBLINGS))

    def fewer(self, most: int) -> Sample:
        """At most so many of the points, spread as all of them are; `most` a multiple of `SCRAMBLINGS`.

        Every sixteenth point of a Sobol sequence lies in one sixteenth of the space, so its first points are taken; of
        a finite space, whose points stand in order, a chance choice.
        """
        if self.points <= most:
            return self
        if self.exact:
            chosen = np.sort(np.random.default_rng(0).choice(self.points, most, replace=False))
        else:
            each = np.arange(most // SCRAMBLINGS)
            chosen = (np.arange(SCRAMBLINGS)[:, None] * (self.points // SCRAMBLINGS) + each).ravel()
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return Sample(columns, len(chosen), exact=False)


def draw(space: Mapping[str, Domain], fixed: Mapping[str, Value], seed: int = 0) -> Sample:
    """A sample of a space: every point of a small finite one, else `POINTS` points of `SCRAMBLINGS` sequences."""
    total = math.prod(domain.points() for domain in space.values())
    if total <= POINTS:
        indices = np.unravel_index(np.arange(int(total)), [int(domain.points()) for domain in space.values()] or [1])
        values = {name: _at(domain, index) for (name, domain), index in zip(space.items(), indices, strict=False)}
        return Sample(_without_inactive(values, space, fixed, int(total)), int(total), exact=True)
    unit = _shares(len(space), seed)
    values = {name: spread(domain, shares) for (name, domain), shares in zip(space.items(), unit, strict=True)}
    return Sample(_without_inactive(values, space, fixed, POINTS), POINTS, exact=False)


def spread(domain: Domain, shares: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Values at shares in [0, 1) of a domain: even over choices and steps, even on the log scale where it is one."""
    count = domain.points()
    if math.isfinite(count) and not domain.log:
        return _at(domain, np.minimum((shares * count).astype(int), int(count) - 1))
    low, high = domain.low, domain.high + (1 if domain.kind == "int" else 0)
    if domain.log:
        values = np.exp(math.log(low) + shares * (math.log(high) - math.log(low)))
    else:
        values = low + shares * (high - low)
    values = np.clip(values, domain.low, domain.high + (0.5 if domain.kind == "int" else 0))
    return np.floor(values) if domain.kind == "int" else values


def _at(domain: Domain, index: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    if domain.kind == "choice":
        return np.array(domain.choices)[index]
    return _steps(domain, index)


def _steps(domain: Domain, index: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """The floats nearest to the exact decimals of a domain's points: what `Domain.value_at` gives, for many at once."""
    low, step = domain.exact_at(0), domain.exact_at(1) - domain.exact_at(0)
    parts = math.lcm(low.denominator, step.denominator)
    first, each = int(low * parts), int(step * parts)
    last = first + each * int(domain.points())
    if max(abs(first), abs(last), parts) <= LARGEST_INT:  # a quotient of two such whole numbers is rounded once
        return (first + index * each) / parts
    return np.array([float(domain.exact_at(int(at))) for at in index])


def _shares(dimensions: int, seed: int) -> npt.NDArray[np.float64]:
    """Coordinates of shape (dimensions, POINTS), the points of one scrambling after those of another."""
    from scipy.stats import qmc  # noqa: PLC0415 - takes half a second, and only an endless space needs it

    chance = np.random.default_rng(seed)
    sequences = [qmc.Sobol(dimensions, scramble=True, rng=chance) for _ in range(SCRAMBLINGS)]
    shares: npt.NDArray[np.float64] = np.concatenate([each.random(POINTS // SCRAMBLINGS) for each in sequences]).T
    return shares


def _without_inactive(
    values: dict[str, npt.NDArray[Any]], space: Mapping[str, Domain], fixed: Mapping[str, Value], points: int
) -> dict[str, Any]:
    """Conditional parameters set to NaN or None where their condition does not hold, parents first."""
    conditions = Conditions(space, fixed)
    columns: dict[str, Any] = {}
    for name, domain in in_order(space, tuple(fixed)).items():
        column = values[name]
        if domain.when is not None:
            active = conditions.active(name, columns, points)
            column = column.astype(object if domain.value_kind == "text" else float)
            column[~active] = None if domain.value_kind == "text" else math.nan
        columns[name] = column
    return columns
