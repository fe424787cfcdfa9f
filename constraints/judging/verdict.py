"""What the rules say of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Verdicts over a table of points.

    Attributes:
        rule_ids: hard rules (refuse, require), in the order of their files.
        refused: (rules, points) whether a rule refuses a point, also because it could not be decided.
        undecided: (rules, points) refused because a value could not be computed.
        soft_ids: soft rules (discourage).
        discouraged: (soft rules, points) whether a soft rule applies.
        weight: (points,) product of the weights of the soft rules that apply, 1 where none does.
    """

    rule_ids: tuple[str, ...]
    refused: npt.NDArray[np.bool_]
    undecided: npt.NDArray[np.bool_]
    soft_ids: tuple[str, ...]
    discouraged: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]
    _violation: Callable[[], npt.NDArray[np.float64]] = field(repr=False)

    @cached_property
    def violation(self) -> npt.NDArray[np.float64]:
        """(rules, points) how far a point is outside a rule; above 0 exactly where the rule refuses it."""
        return self._violation()

    @cached_property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """(points,) whether no hard rule refuses a point."""
        accepted: npt.NDArray[np.bool_] = np.logical_not(np.any(self.refused, axis=0))
        return accepted


class Verdict(NamedTuple):
    """The verdict on one point (a named tuple, since searches make very many).

    Attributes:
        verdict: `refused` by at least one hard rule, else `discouraged` by a soft one, else `accepted`.
        refused_by: ids of the hard rules that refuse it, in the order of their files.
        weight: relative probability of being proposed, the product of the weights of the soft rules that apply.
        violations: for each rule of `refused_by`, how far outside the point is (above 0).
        undecided: for each rule of `refused_by` that could not be decided, why.
        discouraged_by: ids of the soft rules that apply.
    """

    verdict: Literal["accepted", "refused", "discouraged"]
    refused_by: tuple[str, ...]
    weight: float
    violations: Mapping[str, float]
    undecided: Mapping[str, str]
    discouraged_by: tuple[str, ...] = ()
