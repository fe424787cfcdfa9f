"""The search space as Optuna, the rules and a reservoir see it: distributions, values, columns and the unit cube."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import optuna

from constraints.judging import conditions as conditionals
from constraints.names import domain as domains
from constraints.proving import sample

Distribution = optuna.distributions.BaseDistribution

#: the last share of a domain that is below 1
LAST = math.nextafter(1.0, 0.0)

#: a point's identity: two trials with the same one train the same
Point: TypeAlias = tuple[tuple[str, Any], ...]


def distributions(space: Mapping[str, domains.Domain]) -> dict[str, Distribution]:
    """Optuna's distribution for each domain, in the space's order."""
    return {name: distribution(domain) for name, domain in space.items()}


def distribution(domain: domains.Domain) -> Distribution:
    """Optuna's form of one domain. A stepped float ends at its last point, so Optuna has nothing to adjust."""
    if domain.kind == "choice":
        return optuna.distributions.CategoricalDistribution(domain.choices)
    if domain.kind == "int":
        return optuna.distributions.IntDistribution(
            int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
        )
    high = float(domain.value_at(int(domain.points()) - 1)) if domain.step else domain.high
    return optuna.distributions.FloatDistribution(domain.low, high, log=domain.log, step=domain.step)


def point(params: Mapping[str, Any]) -> Point:
    """The identity of a point, whatever the order of its parameters."""
    return tuple(sorted(params.items()))


def needed(space: Mapping[str, domains.Domain]) -> frozenset[str]:
    """Parameters without which parameters name no point: a trial was told, in optuna-dashboard, before it had begun."""
    return frozenset(name for name, domain in space.items() if domain.when is None)


def snap(domain: domains.Domain, value: Any) -> Any:
    """The nearest point of a stepped float's grid; Optuna's own arithmetic leaves 0.30000000000000004."""
    if domain.kind == "float" and domain.step and isinstance(value, float):
        return domain.value_at(round((value - domain.low) / domain.step))
    return value


def columns(points: Sequence[Mapping[str, Any]], space: Mapping[str, domains.Domain]) -> dict[str, np.ndarray]:
    """Points as columns of shape (points,); a parameter that is not set is NaN (numbers) or None (text)."""
    table: dict[str, np.ndarray] = {}
    for name, domain in space.items():
        text = domain.value_kind == "text"
        missing = None if text else np.nan
        values = [point.get(name, missing) for point in points]
        table[name] = np.array(values, dtype=object if text else float)
    return table


def unit_columns(
    cube: npt.NDArray[np.float64],
    space: Mapping[str, domains.Domain],
    conditions: conditionals.Conditions,
    fixed: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """Rows of the unit cube, shape (points, parameters), as columns of shape (points,), without Python per point."""
    table: dict[str, np.ndarray] = {}
    for at, (name, domain) in enumerate(space.items()):
        text = domain.value_kind == "text"
        column = _spread(domain, cube[:, at]).astype(object if text else float)
        if domain.when is not None:
            column[~conditions.active(name, {**fixed, **table}, len(cube))] = None if text else np.nan
        table[name] = column
    return table


def unit_point(
    row: npt.NDArray[np.float64],
    space: Mapping[str, domains.Domain],
    conditions: conditionals.Conditions,
    fixed: Mapping[str, Any],
) -> dict[str, Any]:
    """A row of the unit cube, shape (parameters,), as a point: what `unit_columns` says of it."""
    values: dict[str, Any] = {}
    for share, (name, domain) in zip(row, space.items(), strict=True):
        if domain.when is None or conditions.is_active(name, {**fixed, **values}):
            values[name] = at_share(domain, float(share))
    return values


def at_share(domain: domains.Domain, share: float) -> Any:
    """The value at a share in [0, 1) of a domain: uniform over choices and steps, log-uniform where it is log."""
    if math.isfinite(count := domain.points()) and not domain.log:
        return domain.value_at(min(int(share * count), int(count) - 1))
    value = float(_spread(domain, np.array([share]))[0])
    return int(value) if domain.kind == "int" else value


def share_of(domain: domains.Domain, value: Any) -> float:
    """Where a value lies in its domain, in [0, 1): the middle of its part of the range where there are parts."""
    if domain.kind == "choice":
        return (domain.choices.index(value) + 0.5) / len(domain.choices)
    if domain.log:
        width = 1 if domain.kind == "int" else 0
        low, high = math.log(domain.low), math.log(domain.high + width)
        return _inside((math.log(value + width / 2) - low) / (high - low) if high > low else 0.0)
    if math.isfinite(count := domain.points()):
        return _inside((round((value - domain.low) / (domain.step or 1)) + 0.5) / count)
    return _inside((value - domain.low) / (domain.high - domain.low))


def unit_row(params: Mapping[str, Any], space: Mapping[str, domains.Domain]) -> npt.NDArray[np.float64]:
    """A point as a row of the unit cube, shape (parameters,); parameters that are not set lie in the middle."""
    return np.array(
        [share_of(domain, params[name]) if name in params else 0.5 for name, domain in space.items()], dtype=float
    )


def _inside(share: float) -> float:
    return min(max(share, 0.0), LAST)


def _spread(domain: domains.Domain, shares: npt.NDArray[np.float64]) -> np.ndarray:
    """Values at shares; the ends of a continuous range are met exactly, since a rule may leave nothing but an end."""
    values: np.ndarray = sample.spread(domain, shares)
    if math.isinf(domain.points()):
        values = np.where(shares <= 0.0, domain.low, np.where(shares >= LAST, domain.high, values))
    return values


def describe(domain: domains.Domain) -> str:
    """A domain for people: its choices, or its range and step."""
    if domain.kind == "choice":
        return ", ".join(map(str, domain.choices))
    step = f" by {domain.step:g}" if domain.step else ""
    return f"{domain.low:g} to {domain.high:g}{step}"
