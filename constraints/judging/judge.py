"""The compiled rules of one moment: truth for all points, margins where a rule is broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from constraints.judging.compile import Compiler, Role
from constraints.judging.kinds import RuleKind
from constraints.judging.source import PointProgram, Program
from constraints.names.intervals import Bounds
from constraints.names.scope import Scope, Symbol
from constraints.text import expression
from constraints.text.errors import PointError
from constraints.text.expression import Node

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
_ROLES: tuple[Role, ...] = ("holds", "fails", "unset")
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


@dataclass(frozen=True, eq=False)
class Clause:
    """An expression to be judged alone, which is part of a rule or of a space, and no rule itself."""

    broken: Node
    scope: Scope


@dataclass(frozen=True)
class Slot:
    """One input of the compiled rules."""

    name: str
    kind: Literal["number", "text", "truth", "unknown"]
    #: whether NaN stands for 'there is none' (columns have no other way to say so) or for a value gone wrong
    nan_is_unset: bool


@dataclass(frozen=True)
class Judgement:
    """Masks of shape (rules, points): broken for sure, and without an answer because a value cannot be computed."""

    broken: Bools
    undecided: Bools
    #: (rules, points) violation, worked out when it is asked for
    violation: Callable[[], Floats]


class Judge:
    """Rules over the same names, compiled on first use. `check` judges columns, `judge_point` one point.

    Rules are known by their position.
    """

    def __init__(self, rules: Sequence[Rule | Clause]) -> None:
        names = sorted({name for rule in rules for name in rule.scope.inputs(rule.broken)})
        symbols = {name: next(s for rule in rules if (s := rule.scope.find(name)) is not None) for name in names}
        used = [symbol for symbol in symbols.values() if symbol.role != "absent"]
        self.slots = tuple(Slot(s.name, s.kind, _nan_is_unset(s)) for s in used)
        self._inputs = {slot.name: index for index, slot in enumerate(self.slots)}
        self._nodes = [(rule.broken, rule.scope) for rule in rules]
        self._column_programs: dict[tuple[Role, tuple[int, ...]], Program] = {}
        self._number_programs: dict[tuple[Role, tuple[int, ...]], Program] = {}

    # -- columns ---------------------------------------------------------------------------------------------------

    def check(self, values: Mapping[str, Any], points: int) -> Judgement:
        """Judges columns.

        Args:
            values: name to an array of shape (points,) or a single value that holds everywhere.
            points: how many points there are.
        """
        with np.errstate(all="ignore"):
            columns, given, clean = self._bind_columns(values, points)
            broken = self._table("holds", range(len(self._nodes)), columns, given, points)
            undecided = np.zeros_like(broken)
            doubtful = self._partial if clean else tuple(range(len(self._nodes)))
            if doubtful:
                fails = self._table("fails", doubtful, columns, given, points)
                open_ = ~(fails | broken[list(doubtful)])
                if open_.any():
                    unset = self._table("unset", doubtful, columns, given, points)
                    undecided[list(doubtful)] = open_ & ~unset
        return Judgement(broken, undecided, partial(self._violation, broken, undecided, columns, given))

    def outcomes(self, rule: int, values: Mapping[str, Any], points: int) -> Bools:
        """Masks of shape (3, points): where a rule is broken for sure, where it is kept for sure, where it is unset."""
        with np.errstate(all="ignore"):
            columns, given, _ = self._bind_columns(values, points)
            return np.concatenate([self._table(role, (rule,), columns, given, points) for role in _ROLES])

    def _table(self, role: Role, rules: Sequence[int], columns: list[Any], given: list[Any], points: int) -> Bools:
        """A role of the chosen rules as an array of shape (rules, points)."""
        results = self._column_program(role, tuple(rules))(columns, given)
        table = np.empty((len(rules), points), dtype=bool)
        for row, result in zip(table, results, strict=True):
            row[:] = result
        return table

    def _violation(self, broken: Bools, undecided: Bools, columns: list[Any], given: list[Any]) -> Floats:
        """Margins, worked out only where a rule is broken."""
        violation = np.where(undecided, UNDECIDED_VIOLATION, 0.0)
        for index, row in enumerate(broken):
            chosen = np.flatnonzero(row)
            if not chosen.size:
                continue
            needed = self._needed[index]
            some = [_take(column, chosen) if at in needed else None for at, column in enumerate(columns)]
            some_given = [_take(mask, chosen) if at in needed else None for at, mask in enumerate(given)]
            with np.errstate(all="ignore"):
                (margin,) = self._column_program("margin", (index,))(some, some_given)
            violation[index, chosen] = _bounded(np.asarray(margin, dtype=float))
        return violation

    def _bind_columns(self, values: Mapping[str, Any], points: int) -> tuple[list[Any], list[Any], bool]:
        """Inputs in the order of the slots, masks of what is set, and whether every value is there and moderate."""
        columns: list[Any] = []
        given: list[Any] = []
        clean = True
        for slot in self.slots:
            value = values.get(slot.name)
            column, mask = _text_column(slot, value) if slot.kind == "text" else _number_column(slot, value)
            if isinstance(column, np.ndarray) and column.shape not in ((points,), ()):
                raise PointError(f"column '{slot.name}' has shape {column.shape}, where ({points},) is needed")
            columns.append(column)
            given.append(mask)
            clean = clean and mask is True
        return columns, given, clean

    # -- one point -------------------------------------------------------------------------------------------------

    def judge_point(self, values: Mapping[str, Any]) -> tuple[list[int], list[int]]:
        """Positions of the rules that one point breaks, and of those that cannot be decided on it.

        Raises:
            PointError: a value is of the wrong kind.
        """
        broken = self._point_program(values)
        if broken is not None and not self._partial:
            return self._positions(broken), []
        doubtful = range(len(self._nodes)) if broken is None else self._partial
        bound, given = self._bind_point(values)
        broken = self._number_program("holds", tuple(range(len(self._nodes))))(bound, given)
        fails = self._number_program("fails", tuple(doubtful))(bound, given)
        unclear = tuple(rule for rule, failing in zip(doubtful, fails, strict=True) if not (failing or broken[rule]))
        unset = self._number_program("unset", unclear)(bound, given) if unclear else ()
        undecided = [rule for rule, missing in zip(unclear, unset, strict=True) if not missing]
        return self._positions(broken), undecided

    def quick(self, values: Mapping[str, Any]) -> tuple[bool, ...] | None:
        """Which rules a point breaks; None where that takes `judge_point`: a value is missing or of another kind."""
        return None if self._partial else self._point_program(values)

    def _positions(self, broken: Sequence[Any]) -> list[int]:
        return [index for index, result in enumerate(broken) if result]

    def run(self, role: Role, rule: int, values: Mapping[str, Any]) -> Any:
        """One role of one rule at one point: whether it holds, fails or lacks something set, its margin, its value."""
        return self._number_program(role, (rule,))(*self._bind_point(values))[0]

    def margin(self, rule: int, values: Mapping[str, Any]) -> float:
        """Signed margin of 'the rule is broken' at one point; NaN where it has no truth."""
        return float(self.run("margin", rule, values))

    def violation(self, rule: int, values: Mapping[str, Any]) -> float:
        """The violation at a point that breaks the rule."""
        quick = self._margin_programs[rule](values)
        margin = float(quick[0]) if quick is not None else self.margin(rule, values)
        if math.isnan(margin):  # no part of the rule has a distance
            return UNDECIDED_VIOLATION
        return min(max(margin, LEAST_VIOLATION), MOST_VIOLATION)

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

    def _column_program(self, role: Role, rules: tuple[int, ...]) -> Program:
        if (role, rules) not in self._column_programs:
            compiler, outputs = self._compiler(role, rules)
            self._column_programs[role, rules] = compiler.source.column_program(outputs)
        return self._column_programs[role, rules]

    def _number_program(self, role: Role, rules: tuple[int, ...]) -> Program:
        if (role, rules) not in self._number_programs:
            compiler, outputs = self._compiler(role, rules)
            self._number_programs[role, rules] = compiler.source.number_program(outputs)
        return self._number_programs[role, rules]

    @cached_property
    def _point_program(self) -> PointProgram:
        compiler, outputs = self._compiler("holds", tuple(range(len(self._nodes))))
        return compiler.source.point_program(outputs, [slot.kind for slot in self.slots])

    @cached_property
    def _margin_programs(self) -> list[PointProgram]:
        programs = []
        for rule in range(len(self._nodes)):
            compiler, outputs = self._compiler("margin", (rule,))
            programs.append(compiler.source.point_program(outputs, [slot.kind for slot in self.slots]))
        return programs

    def _compiler(self, role: Role, rules: tuple[int, ...]) -> tuple[Compiler, list[str]]:
        compiler = Compiler(self._inputs)
        return compiler, [compiler.variable(*self._nodes[rule], role) for rule in rules]

    @cached_property
    def _partial(self) -> tuple[int, ...]:
        """Rules that may be undecided although every value is there: they divide, take roots, know no bounds.

        A rule that names an absent parameter is not among them: it can lack an answer, but only as not applicable.
        """
        return tuple(index for index, (node, scope) in enumerate(self._nodes) if not _is_total(node, scope))

    @cached_property
    def _needed(self) -> list[frozenset[int]]:
        """For each rule the positions of the inputs that it depends on."""
        needed = [scope.inputs(node) for node, scope in self._nodes]
        return [frozenset(self._inputs[name] for name in names if name in self._inputs) for names in needed]


def _is_total(node: Node, scope: Scope) -> bool:
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


def _nan_is_unset(symbol: Symbol) -> bool:
    return symbol.role == "fact" or (symbol.role == "parameter" and symbol.optional)


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
        raw = np.asarray(value)
        column = raw.astype(float, copy=False) if raw.dtype.kind not in "USc" else None
    except (TypeError, ValueError):
        column = None
    if column is None:
        raise PointError(f"column '{slot.name}' must hold numbers")
    flat = column.ravel()
    if column.size and flat @ flat <= _LARGE * _LARGE:  # one pass that NaN, infinity and large numbers all fail
        return column, True
    present = ~np.isnan(column)
    if not slot.nan_is_unset:
        present = np.not_equal(np.asarray(value, dtype=object), _NOTHING).astype(bool)
    return column, present


def _text_column(slot: Slot, value: Any) -> tuple[Any, Any]:
    if value is None:
        return None, False
    if isinstance(value, str):
        return value, True
    column = np.asarray(value)
    if column.dtype.kind not in "OU" and column.size:
        raise PointError(f"column '{slot.name}' must hold text")
    if column.dtype.kind != "O":
        return column, True
    present = np.not_equal(column, _NOTHING).astype(bool)
    return column, True if present.all() else present


def _number(slot: Slot, value: Any) -> float:
    if value is None:
        return math.nan
    if slot.kind == "unknown" and isinstance(value, str):
        return value  # type: ignore[return-value]
    if not isinstance(value, int | float | np.number | np.bool_) or isinstance(value, np.complexfloating):
        raise PointError(f"'{slot.name}' must be {_A_KIND[slot.kind]}, not {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


_A_KIND = {"number": "a number", "truth": "true or false", "unknown": "a plain value"}
