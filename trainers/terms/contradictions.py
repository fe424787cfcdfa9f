"""Settings that cannot be trained together, told of one point or of columns of points alike. Torch-free.

Some depend on the data set and the base: what `trainers.data.counters` finds out is handed over beside the parameters,
as `total_steps` and, where the trial does not set it, `resolution`.

A trial is checked point by point, a search looks at thousands at once; both ask the same table, so that no point is
proposed that its trainer would refuse.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trainers.contract import job

Mask: TypeAlias = npt.NDArray[np.bool_]


class Points:
    """Points as columns of shape (points,): NaN (numbers) or None (text) where a parameter is not set."""

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]], count: int) -> None:
        self._columns = columns
        self._count = count

    def is_set(self, name: str) -> Mask:
        """Where a parameter is set, shape (points,)."""
        column = self._columns.get(name)
        if column is None:
            return np.zeros(self._count, dtype=bool)
        if column.dtype == object:
            return np.array([value is not None for value in column], dtype=bool)
        return ~np.isnan(column.astype(float)) if column.dtype.kind == "f" else np.ones(self._count, dtype=bool)

    def number(self, name: str, otherwise: float) -> npt.NDArray[np.float64]:
        """A number's values, shape (points,), with `otherwise` where it is not set."""
        column = self._columns.get(name)
        if column is None:
            return np.full(self._count, otherwise)
        values: npt.NDArray[np.float64] = np.where(self.is_set(name), column, otherwise).astype(float)
        return values

    def equals(self, name: str, *texts: str) -> Mask:
        """Where a text is one of `texts`, shape (points,); nowhere where it is not set."""
        column = self._columns.get(name)
        if column is None:
            return np.zeros(self._count, dtype=bool)
        equal = np.zeros(self._count, dtype=bool)
        for text in texts:
            equal |= column.astype(object) == text
        return equal


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """One thing that cannot be trained.

    `holds` says at which points, shape (points,); `says` words it for one point, naming parameters and values.
    Nothing is asked of points that lack one of the parameters in `needs`.
    """

    needs: frozenset[str]
    holds: Callable[[Points], Mask]
    says: Callable[[Mapping[str, job.Scalar]], str]


def of_point(table: Sequence[Contradiction], params: Mapping[str, job.Scalar]) -> list[str]:
    """What one trial's parameters contradict, in words; empty where they can be trained."""
    points = Points({name: np.array([value]) for name, value in params.items()}, 1)
    return [each.says(params) for each in table if each.needs <= params.keys() and each.holds(points)[0]]


def of_points(table: Sequence[Contradiction], columns: Mapping[str, Any], count: int) -> Mask:
    """Which of many points contradict something, shape (points,).

    Args:
        table: what a trainer cannot train.
        columns: complete parameters, each one value or a column of shape (points,), NaN or None where it is not set.
        count: how many points there are.
    """
    found = np.zeros(count, dtype=bool)
    wanted = [each for each in table if each.needs <= columns.keys()]
    if not wanted:
        return found
    points = Points({name: np.broadcast_to(np.asarray(value), (count,)) for name, value in columns.items()}, count)
    for each in wanted:
        found |= each.holds(points)
    return found
