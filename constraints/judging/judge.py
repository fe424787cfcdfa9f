"""The compiled rules of one moment: truth for all points, margins where a rule is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from constraints.judging import inputs
from constraints.judging.compile import Aspect, Compiler
from constraints.judging.kinds import RuleKind
from constraints.judging.source import Program
from constraints.names.intervals import Bounds
from constraints.names.scope import Scope
from constraints.text import expression
from constraints.text.expression import Node

Bools: TypeAlias = "npt.NDArray[np.bool_]"
Floats: TypeAlias = "npt.NDArray[np.float64]"

#: violation of a point that is refused and stands exactly on the boundary
LEAST_VIOLATION = 1e-6
#: violations are finite: an infinite one would outweigh everything it is added to
MOST_VIOLATION = 1e6
#: violation where a rule could not be decided, as where text decides
UNDECIDED_VIOLATION = 1.0


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule, ready to be judged: `broken` holds exactly where the rule is broken."""

    id: str
    kind: RuleKind
    because: str
    weight: float
    broken: Node
    scope: Scope
    file: str
    line: int


@dataclass(frozen=True, eq=False)
class Clause:
    """An expression to be judged alone, which is part of a rule or of a space, and no rule itself."""

    broken: Node
    scope: Scope


@dataclass(frozen=True)
class RuleMasks:
    """Masks of shape (rules, points): broken for sure, and without an answer because a value cannot be computed."""

    broken: Bools
    undecided: Bools
    #: (rules, points) violation, worked out when it is asked for
    violation: Callable[[], Floats]

    @property
    def at_point(self) -> tuple[list[int], list[int]]:
        """Of a batch of one: positions of the rules that the point breaks, and of those that are undecided on it."""
        return self.broken.nonzero()[0].tolist(), self.undecided.nonzero()[0].tolist()


class Judge:
    """Rules over the same names, compiled on first use; known by their position.

    There is one compiled form: operations between columns of points. A plain value holds at every point, so that a
    single point is a batch of one whose columns are plain values, which costs no array a value.
    """

    def __init__(self, rules: Sequence[Rule | Clause]) -> None:
        names = sorted({name for rule in rules for name in rule.scope.inputs(rule.broken)})
        symbols = {name: next(s for rule in rules if (s := rule.scope.find(name)) is not None) for name in names}
        used = [symbol for symbol in symbols.values() if symbol.role != "absent"]
        self.slots = tuple(inputs.Slot.of(symbol) for symbol in used)
        self._inputs = {slot.name: index for index, slot in enumerate(self.slots)}
        self._nodes = [(rule.broken, rule.scope) for rule in rules]
        self._programs: dict[tuple[tuple[Aspect, int], ...], Program] = {}

    def check(self, values: Mapping[str, Any], points: int = 1) -> RuleMasks:
        """Judges points.

        Args:
            values: name to an array of shape (points,), or to a plain value that holds at every point.
            points: how many points there are.

        Raises:
            PointError: a value is of the wrong kind, or a column of the wrong shape.
        """
        bound = inputs.bind(self.slots, values, points)
        with np.errstate(all="ignore"):
            table = _table(self._sure if bound.is_clean else self._careful, bound, points)
        broken, undecided = table[: len(self._nodes)], table[len(self._nodes) :]
        return RuleMasks(broken, undecided, partial(self._violation, broken, undecided, bound))

    def outcomes(self, rule: int, values: Mapping[str, Any], points: int) -> Bools:
        """Masks of shape (3, points): where a rule is broken for sure, where it is kept for sure, where it is unset."""
        bound = inputs.bind(self.slots, values, points)
        with np.errstate(all="ignore"):
            return _table(self._program(("holds", rule), ("fails", rule), ("unset", rule)), bound, points)

    def at_point(self, role: Aspect, rule: int, values: Mapping[str, Any]) -> Any:
        """One role of one rule at one point: whether it holds, fails or lacks something set, its margin, its value.

        A margin is signed, above 0 where the rule is broken, NaN where it has no truth.
        """
        bound = inputs.bind(self.slots, values, 1)
        with np.errstate(all="ignore"):
            (result,) = self._program((role, rule))(bound.columns, bound.given)
        return result.item() if isinstance(result, np.generic | np.ndarray) else result

    def margins(self, values: Mapping[str, Any]) -> list[float]:
        """The margin of each rule at one point, as `at_point` gives them."""
        bound = inputs.bind(self.slots, values, 1)
        wanted: list[tuple[Aspect, int]] = [("margin", rule) for rule in range(len(self._nodes))]
        with np.errstate(all="ignore"):
            return [float(np.asarray(each).item()) for each in self._program(*wanted)(bound.columns, bound.given)]

    def _violation(self, broken: Bools, undecided: Bools, bound: inputs.Inputs) -> Floats:
        """Margins, worked out only where a rule is broken."""
        violation = np.where(undecided, UNDECIDED_VIOLATION, 0.0)
        with np.errstate(all="ignore"):
            for rule in np.flatnonzero(broken.any(axis=1)).tolist():
                there = broken[rule]
                some = bound if there.all() else bound.at(np.flatnonzero(there), self._needed[rule])
                (violation[rule, there],) = self._program(("margin", rule))(some.columns, some.given)
        violation[broken] = _bounded(violation[broken])
        return violation

    # -- programs --------------------------------------------------------------------------------------------------

    @cached_property
    def _sure(self) -> Program:
        """Whether each rule is broken, then whether it is undecided, where every value is there and moderate."""
        return self._verdicts(lambda node, scope: not _is_total(node, scope))

    @cached_property
    def _careful(self) -> Program:
        """The same for any values."""
        return self._verdicts(lambda node, scope: True)

    def _verdicts(self, is_doubtful: Callable[[Node, Scope], bool]) -> Program:
        compiler = Compiler(self._inputs)
        broken = [compiler.variable(*rule, "holds") for rule in self._nodes]
        undecided = [compiler.variable(*rule, "undecided") if is_doubtful(*rule) else "False" for rule in self._nodes]
        return compiler.source.build([*broken, *undecided])

    def _program(self, *wanted: tuple[Aspect, int]) -> Program:
        """Roles of rules."""
        if wanted not in self._programs:
            compiler = Compiler(self._inputs)
            outputs = [compiler.variable(*self._nodes[rule], role) for role, rule in wanted]
            self._programs[wanted] = compiler.source.build(outputs)
        return self._programs[wanted]

    @cached_property
    def _needed(self) -> list[frozenset[int]]:
        """For each rule the positions of the inputs that it depends on."""
        needed = [scope.inputs(node) for node, scope in self._nodes]
        return [frozenset(self._inputs[name] for name in names if name in self._inputs) for names in needed]


def _table(program: Program, bound: inputs.Inputs, points: int) -> Bools:
    """The outputs of a program as an array of shape (outputs, points)."""
    results = program(bound.columns, bound.given)
    if points == 1:  # the search judges point by point, and a row each costs as much as the rules themselves
        return np.array([bool(result) for result in results], dtype=bool)[:, None]
    table = np.empty((len(results), points), dtype=bool)
    for row, result in zip(table, results, strict=True):
        row[:] = result
    return table


def _is_total(node: Node, scope: Scope) -> bool:
    """Whether a rule has an answer wherever every value is there: it neither divides nor takes roots, within bounds.

    A rule that names an absent parameter can lack an answer, but only as not applicable.
    """
    bounds = Bounds(scope)
    waiting, followed = [node], set()
    while waiting:
        for found in expression.walk(waiting.pop()):
            if isinstance(found, expression.Arithmetic | expression.Call) and not bounds.of(found).finite:
                return False
            if isinstance(found, expression.Name) and (body := scope[found.name].body) and found.name not in followed:
                followed.add(found.name)
                waiting.append(body)
    return True


def _bounded(margin: Floats) -> Floats:
    return np.minimum(
        np.maximum(np.where(np.isnan(margin), UNDECIDED_VIOLATION, margin), LEAST_VIOLATION), MOST_VIOLATION
    )
