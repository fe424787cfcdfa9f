"""Conditional parameters: which of them are set at a point, and what is wrong with their conditions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from constraints.judging.judge import Clause, Judge
from constraints.names import typecheck
from constraints.names import world as worlds
from constraints.names.domain import Domain, Value
from constraints.text import parsing
from constraints.text.errors import ExpressionError


class Conditions:
    """The conditions of a space, compiled.

    Args:
        space: domains by name; `problems` must have found nothing wrong with their conditions.
        fixed: parameters with one value, which conditions may name.
    """

    def __init__(self, space: Mapping[str, Domain], fixed: Mapping[str, Value] | None = None) -> None:
        self._space = space
        self._fixed = fixed or {}

    def is_active(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether a parameter is set at a point.

        A condition that cannot be decided, or that depends on a parameter which is not set, leaves it unset.
        """
        return name not in self._judges or bool(self._judges[name].check(values).broken[0, 0])

    def active(self, name: str, columns: Mapping[str, Any], points: int) -> npt.NDArray[np.bool_]:
        """Where a parameter is set in a table of points: shape (points,)."""
        if name not in self._judges:
            return np.ones(points, dtype=bool)
        active: npt.NDArray[np.bool_] = self._judges[name].check(columns, points).broken[0]
        return active

    @cached_property
    def _judges(self) -> dict[str, Judge]:
        scope = worlds.study_scope(worlds.World(self._space, self._fixed))
        return {
            name: Judge([Clause(parsing.parse(domain.when), scope)])
            for name, domain in self._space.items()
            if domain.when is not None
        }


def problems(space: Mapping[str, Domain], fixed: Mapping[str, Value] | None = None) -> dict[str, list[ExpressionError]]:
    """What is wrong with each condition (names, kinds, syntax), for the conditional parameters that have a problem."""
    scope = worlds.study_scope(worlds.World(space, fixed or {}))
    found = {}
    for name, domain in space.items():
        if domain.when is None:
            continue
        try:
            errors = typecheck.check(parsing.parse(domain.when), scope)
        except ExpressionError as error:
            errors = [error]
        if errors:
            found[name] = errors
    return found
