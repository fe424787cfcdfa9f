"""The compiled rules of one moment: truth for all points, margins where a rule is broken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from constraints import compile as compiler
from constraints import expression
from constraints.compile import Role
from constraints.errors import PointError
from constraints.expression import Node
from constraints.intervals import Bounds
from constraints.rulefile import RuleKind
from constraints.scope import Scope

Bools: TypeAlias = "npt.NDArray[np.bool_]"
Floats: TypeAlias = "npt.NDArray[np.float64]"

#: violation of a point that is refused and stands exactly on the boundary
LEAST_VIOLATION = 1e-6
#: violations are finite: an infinite one would outweigh everything it is added to
MOST_VIOLATION = 1e6
#: violation where a rule could not be decided, as where text decides
UNDECIDED_VIOLATION = 1.0
#: larger values take the careful path, since their products may overflow
_LARGE = 1e30
_NOTHING = np.array(None, dtype=object)


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


@dataclass(frozen=True)
class Slot:
    """One input of the compiled rules."""

    name: str
    kind: Literal["number", "text", "truth", "unknown"]
    #: whether a missing value means 'not set' (a conditional parameter, a signal), and whether NaN does too
    optional: bool
    nan_is_unset: bool


@dataclass(frozen=True)
class Judgement:
    """Masks of shape (rules, points): broken for sure, and without an answer because a value is missing."""

    broken: Bools
    undecided: Bools
    violation: Floats


class Judge:
    """Rules over the same names, compiled on first use. `check` judges columns, `judge_point` one point."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        names = sorted({name for rule in rules for name in rule.scope.inputs(rule.broken)})
        symbols = {name: next(s for rule in rules if (s := rule.scope.find(name)) is not None) for name in names}
        used = [symbol for symbol in symbols.values() if symbol.role != "absent"]
        self.slots = tuple(Slot(s.name, s.kind, s.optional, s.optional and s.role == "parameter") for s in used)
        self._inputs = {slot.name: index for index, slot in enumerate(self.slots)}
        self._nodes = [(rule.broken, rule.scope) for rule in rules]
        self._programs: dict[tuple[Role, bool, tuple[int, ...]], compiler.Program] = {}
        self._all_given = [True] * len(self.slots)

    # -- columns ---------------------------------------------------------------------------------------------------

    def check(self, values: Mapping[str, Any], points: int) -> Judgement:
        """Judges columns.

        Args:
            values: name to an array of shape (points,) or a single value that holds everywhere.
            points: how many points there are.
        """
        with np.errstate(all="ignore"):
            columns, given, clean = self._bind_columns(values, points)
            broken = self._table("holds", range(len(self.rules)), columns, given, points)
            undecided = np.zeros_like(broken)
            doubtful = self._partial if clean else tuple(range(len(self.rules)))
            if doubtful:
                fails = self._table("fails", doubtful, columns, given, points)
                open_ = ~(fails | broken[list(doubtful)])
                if open_.any():
                    unset = self._table("unset", doubtful, columns, given, points)
                    undecided[list(doubtful)] = open_ & ~unset
            return Judgement(broken, undecided, self._violations(broken, undecided, columns, given))

    def _table(self, role: Role, rules: Sequence[int], columns: list[Any], given: list[Any], points: int) -> Bools:
        """A role of the chosen rules as an array of shape (rules, points)."""
        results = self._program(role, True, tuple(rules))(columns, given)
        table = np.empty((len(rules), points), dtype=bool)
        for row, result in zip(table, results, strict=True):
            row[:] = result
        return table

    def _violations(self, broken: Bools, undecided: Bools, columns: list[Any], given: list[Any]) -> Floats:
        """Margins, worked out only where a rule is broken."""
        violation = np.where(undecided, UNDECIDED_VIOLATION, 0.0)
        for index, row in enumerate(broken):
            chosen = np.flatnonzero(row)
            if not chosen.size:
                continue
            needed = self._needed(index)
            some = [_take(column, chosen) if at in needed else None for at, column in enumerate(columns)]
            some_given = [_take(mask, chosen) if at in needed else None for at, mask in enumerate(given)]
            (margin,) = self._program("margin", True, (index,))(some, some_given)
            violation[index, chosen] = _bounded(np.asarray(margin, dtype=float))
        return violation

    def _bind_columns(self, values: Mapping[str, Any], points: int) -> tuple[list[Any], list[Any], bool]:
        """Inputs in the order of the slots, masks of what is set, and whether every value is there and moderate."""
        columns: list[Any] = []
        given: list[Any] = []
        clean = True
        for slot in self.slots:
            value = values.get(slot.name)
            column, mask = _text_column(value) if slot.kind == "text" else _number_column(slot, value)
            if isinstance(column, np.ndarray) and column.shape not in ((points,), ()):
                raise PointError(f"column '{slot.name}' has shape {column.shape}, where ({points},) is needed")
            columns.append(column)
            given.append(mask)
            clean = clean and mask is True
        return columns, given, clean

    # -- one point -------------------------------------------------------------------------------------------------

    def judge_point(self, values: Mapping[str, Any]) -> tuple[list[int], list[int]]:
        """Positions of the rules that one point breaks, and of those that cannot be decided on it."""
        bound = self._bind_moderate_point(values)
        if bound is not None:
            broken = self._first_program(bound, self._all_given)
            if not self._partial:
                return ([index for index, result in enumerate(broken) if result] if any(broken) else []), []
            doubtful: Sequence[int] = self._partial
            given: Sequence[Any] = self._all_given
        else:
            bound, given = self._bind_point(values)
            broken = self._first_program(bound, given)
            doubtful = range(len(self.rules))
        return [index for index, result in enumerate(broken) if result], self._undecided(broken, doubtful, bound, given)

    def _undecided(
        self, broken: Sequence[Any], doubtful: Sequence[int], bound: Sequence[Any], given: Sequence[Any]
    ) -> list[int]:
        fails = self._program("fails", False, tuple(doubtful))(bound, given)
        unclear = [rule for rule, failing in zip(doubtful, fails, strict=True) if not (failing or broken[rule])]
        if not unclear:
            return []
        unset = self._program("unset", False, tuple(unclear))(bound, given)
        return [rule for rule, missing in zip(unclear, unset, strict=True) if not missing]

    def run(self, role: Role, rule: int, values: Mapping[str, Any]) -> Any:
        """One role of one rule at one point: whether it holds, fails or lacks something set, its margin, its value."""
        return self._program(role, False, (rule,))(*self._bind_point(values))[0]

    def margin(self, rule: int, values: Mapping[str, Any]) -> float:
        """Signed margin of 'the rule is broken' at one point; NaN where it has no truth."""
        return float(self.run("margin", rule, values))

    def violation(self, rule: int, values: Mapping[str, Any]) -> float:
        """The violation at a point that breaks the rule."""
        return float(_bounded(np.asarray(self.margin(rule, values))))

    def _bind_moderate_point(self, values: Mapping[str, Any]) -> list[Any] | None:
        """The inputs if every value is there, of its kind and moderate; else None, and the careful path decides."""
        bound = []
        for name, wanted in self._wanted:
            value = values.get(name)
            kind = type(value)
            if kind is not wanted and (wanted is not float or kind is not int):
                return None
            if wanted is float and not -_LARGE < value < _LARGE:  # type: ignore[operator]
                return None
            bound.append(float(value) if kind is int else value)  # type: ignore[arg-type]
        return bound

    def _bind_point(self, values: Mapping[str, Any]) -> tuple[list[Any], list[bool]]:
        bound: list[Any] = []
        given: list[bool] = []
        for slot in self.slots:
            value = values.get(slot.name)
            value = value if slot.kind == "text" else _number(slot, value)
            if slot.kind == "text" and not isinstance(value, str | None):
                raise PointError(f"'{slot.name}' must be text, not {value!r}")
            present = values.get(slot.name) is not None and not (slot.nan_is_unset and value != value)  # noqa: PLR0124
            bound.append(value)
            given.append(present)
        return bound, given

    # -- programs --------------------------------------------------------------------------------------------------

    def _program(self, role: Role, columns: bool, rules: tuple[int, ...]) -> compiler.Program:
        key = (role, columns, rules)
        if key not in self._programs:
            nodes = [self._nodes[rule] for rule in rules]
            self._programs[key] = compiler.program(nodes, role, self._inputs, columns=columns)
        return self._programs[key]

    @cached_property
    def _first_program(self) -> compiler.Program:
        return self._program("holds", False, tuple(range(len(self.rules))))

    @cached_property
    def _wanted(self) -> list[tuple[str, type]]:
        types = {"number": float, "text": str, "truth": bool, "unknown": object}
        return [(slot.name, types[slot.kind]) for slot in self.slots]

    @cached_property
    def _partial(self) -> tuple[int, ...]:
        """Rules that can lack an answer although every value is there: they divide, take roots, name what is absent."""
        return tuple(index for index, (node, scope) in enumerate(self._nodes) if not _is_total(node, scope))

    def _needed(self, rule: int) -> frozenset[int]:
        node, scope = self._nodes[rule]
        return frozenset(self._inputs[name] for name in scope.inputs(node) if name in self._inputs)


def _is_total(node: Node, scope: Scope) -> bool:
    bounds = Bounds(scope)
    if any(scope[name].role == "absent" for name in scope.inputs(node)):
        return False
    waiting, followed = [node], set()
    while waiting:
        for found in expression.walk(waiting.pop()):
            if isinstance(found, expression.Arithmetic | expression.Call) and not bounds.of(found).finite:
                return False
            if isinstance(found, expression.Name) and (body := scope[found.name].body) and found.name not in followed:
                followed.add(found.name)
                waiting.append(body)
    return True


def _take(column: Any, chosen: npt.NDArray[np.intp]) -> Any:
    return column[chosen] if isinstance(column, np.ndarray) and column.ndim else column


def _bounded(margin: Floats) -> Floats:
    bounded: Floats = np.clip(np.where(np.isnan(margin), UNDECIDED_VIOLATION, margin), LEAST_VIOLATION, MOST_VIOLATION)
    return bounded


def _number_column(slot: Slot, value: Any) -> tuple[Any, Any]:
    """A column of floats (truths as 1 and 0) and the mask of what is set: True where everything is."""
    if value is None:
        return math.nan, False
    try:
        column = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise PointError(f"column '{slot.name}' must hold numbers") from error
    if column.size and np.abs(column).max() <= _LARGE:
        return column, True
    present = ~np.isnan(column)
    if not slot.nan_is_unset:
        present = np.not_equal(np.asarray(value, dtype=object), _NOTHING).astype(bool)
    return column, present


def _text_column(value: Any) -> tuple[Any, Any]:
    if value is None:
        return None, False
    if isinstance(value, str):
        return value, True
    column = np.asarray(value)
    if column.dtype.kind != "O":
        return column, True
    present = np.not_equal(column, _NOTHING).astype(bool)
    return column, True if present.all() else present


def _number(slot: Slot, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) if slot.kind == "number" else False:
        raise PointError(f"'{slot.name}' must be a number, not {value!r}")
    if slot.kind == "unknown" and isinstance(value, str):
        return value  # type: ignore[return-value]
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise PointError(f"'{slot.name}' must be {_A_KIND[slot.kind]}, not {value!r}") from error


_A_KIND = {"number": "a number", "truth": "true or false", "unknown": "a plain value"}
