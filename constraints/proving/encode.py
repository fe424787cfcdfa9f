"""Rules as formulas for z3, over the space as it is: choices and steps exactly, numbers as the floats that they are.

Parameters with few values become one truth variable a value. A comparison over such parameters alone is put to the
compiled rules themselves, value by value, so that the formula says exactly what judging would say. Only comparisons
that involve a continuous parameter are translated: for each combination of the others' values, into real arithmetic.
Where rounding could turn such a comparison, a free truth variable decides it, the same one wherever the same numbers
are compared: what no choice of these variables allows, no float can show (see `constraints.proving.terms`).
A truth expression becomes three formulas, as in `constraints.judging.compile`: it holds, it fails, it lacks what is not
set.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import z3

from constraints.judging.judge import Clause, Judge
from constraints.names.domain import Domain, Value, in_order
from constraints.names.scope import Scope
from constraints.proving.numbers import Numbers
from constraints.proving.terms import NotEncodableError
from constraints.text import expression, parsing
from constraints.text.expression import And, Comparison, IfElse, IsSet, Membership, Name, Node, Not, Or, Truth

#: parameters with more values than this become a number variable; comparisons over more combinations are not encoded
MOST_VALUES = 64
MOST_COMBINATIONS = 4096


@dataclass(frozen=True)
class Truths:
    """Where an expression holds, where it fails, and where it lacks something that is not set."""

    holds: z3.BoolRef
    fails: z3.BoolRef
    unset: z3.BoolRef


class Encoder:
    """The variables of one space and the formulas of expressions over them.

    Args:
        space: the searched parameters.
        scope: names of the study, for the conditions of the space.
        known: facts that hold for every point; other facts, signals and metrics may be any number.
        deadline: on the clock of `time.monotonic`; what is not encoded by then is not.
        rounded: whether comparisons that rounding could turn are left open, as proofs need them; else they are exact.
    """

    def __init__(
        self,
        space: Mapping[str, Domain],
        scope: Scope,
        known: Mapping[str, Value],
        deadline: float = math.inf,
        *,
        rounded: bool = True,
    ) -> None:
        self.context = z3.Context()
        few = [name for name, domain in space.items() if domain.points() <= MOST_VALUES]
        self._numbers = Numbers(self.context, known, frozenset(few), rounded=rounded)
        self._deadline = deadline
        self._space = space
        self._known = known
        self._chosen: dict[str, list[z3.BoolRef]] = {}
        self._active: dict[str, z3.BoolRef] = {}
        self._done: dict[tuple[int, int], Truths] = {}
        self._kept: list[object] = []  # nodes and scopes whose id is a key above
        self.space_formula = self._and(
            [self._declare(d, scope) for d in in_order(space, tuple(scope.symbols)).values()]
        )

    def broken(self, node: Node, scope: Scope) -> z3.BoolRef:
        """Where an expression holds for sure or cannot be decided."""
        truths = self.truths(node, scope)
        undecided = self._and([self._not(each) for each in (truths.holds, truths.fails, truths.unset)])
        return self._or([truths.holds, undecided])

    def is_value(self, name: str, index: int) -> z3.BoolRef:
        """Whether a parameter has the value at an index of its domain."""
        if name in self._chosen:
            return self._chosen[name][index]
        return self._equals(name, self._space[name].exact_at(index))

    def has_value(self, name: str, value: Value) -> z3.BoolRef:
        """Whether a parameter has a value of its domain."""
        domain = self._space[name]
        if name in self._chosen:
            return self._chosen[name][domain.grid().index(value)]
        assert isinstance(value, int | float)
        if math.isinf(domain.points()):
            return self._equals(name, Fraction(value))
        step = float(domain.exact_at(1) - domain.exact_at(0))
        return self._equals(name, domain.exact_at(round((value - domain.low) / step)))

    def _equals(self, name: str, exact: Fraction) -> z3.BoolRef:
        return self._and([self._active[name], self._numbers.equals(name, exact)])

    def number(self, name: str) -> z3.ArithRef | None:
        """The number variable of a parameter that has one."""
        return self._numbers.variable(name)

    # -- the space -------------------------------------------------------------------------------------------------

    def _declare(self, domain: Domain, scope: Scope) -> z3.BoolRef:
        """Adds a parameter's variables and returns what holds of them."""
        active = self._true
        if domain.when is not None:
            active = self.truths(parsing.parse(domain.when), scope).holds
        self._active[domain.name] = active
        if domain.points() <= MOST_VALUES:
            return self._declare_choice(domain, active)
        if domain.kind == "choice":
            raise NotEncodableError(f"{domain.name} has more than {MOST_VALUES} choices")
        return self._and(self._numbers.declare(domain))

    def _declare_choice(self, domain: Domain, active: z3.BoolRef) -> z3.BoolRef:
        chosen = [z3.Bool(f"{domain.name}={value}", self.context) for value in domain.grid()]
        self._chosen[domain.name] = chosen
        at_most_one = [z3.AtMost(*chosen, 1)] if len(chosen) > 1 else []
        return self._and([self._or(chosen) == active, *at_most_one])

    # -- truths ----------------------------------------------------------------------------------------------------

    def truths(self, node: Node, scope: Scope) -> Truths:
        """The three formulas of a truth expression.

        Raises:
            NotEncodableError: a comparison cannot be expressed exactly.
        """
        key = (id(node), id(scope))
        if key not in self._done:
            self._kept += (node, scope)
            self._done[key] = self._work_out(node, scope)
        return self._done[key]

    def _work_out(self, node: Node, scope: Scope) -> Truths:  # noqa: PLR0911 - one case a node
        match node:
            case Not(operand):
                inner = self.truths(operand, scope)
                return Truths(inner.fails, inner.holds, inner.unset)
            case And(parts) | Or(parts):
                below = [self.truths(part, scope) for part in parts]
                every, some = (self._and, self._or) if isinstance(node, And) else (self._or, self._and)
                return self._with_unset(
                    every([t.holds for t in below]), some([t.fails for t in below]), [t.unset for t in below]
                )
            case IfElse(condition, then, otherwise):
                return self._choice(*(self.truths(part, scope) for part in (condition, then, otherwise)))
            case Name(name) if (body := scope[name].body) is not None:
                return self.truths(body, scope)
            case IsSet(name) if name not in self._space and scope[name].role in ("fact", "signal", "metric"):
                return Truths(self._true, self._false, self._false)
            case Comparison(operator, left, right) if isinstance(left, Truth) or isinstance(right, Truth):
                literal, other = (left, right) if isinstance(left, Truth) else (right, left)
                same = isinstance(literal, Truth) and literal.value is (operator == "==")
                return self.truths(other if same else Not(other), scope)
            case Membership(left, items, negated) if not self._is_finite(node, scope):
                either = Or(tuple(Comparison("==", left, item) for item in (*items, items[0])))
                return self.truths(Not(either) if negated else either, scope)
            case _:
                return self._leaf(node, scope)

    def _choice(self, condition: Truths, then: Truths, otherwise: Truths) -> Truths:
        holds = [self._and([condition.holds, then.holds]), self._and([condition.fails, otherwise.holds])]
        fails = [self._and([condition.holds, then.fails]), self._and([condition.fails, otherwise.fails])]
        unset = [self._and([condition.holds, then.unset]), self._and([condition.fails, otherwise.unset])]
        return self._with_unset(self._or(holds), self._or(fails), [condition.unset, *unset])

    def _with_unset(self, holds: z3.BoolRef, fails: z3.BoolRef, below: list[z3.BoolRef]) -> Truths:
        lacking = self._or(below)
        return Truths(holds, fails, self._and([lacking, self._not(holds), self._not(fails)]))

    def _leaf(self, node: Node, scope: Scope) -> Truths:
        """A comparison: for each combination of the values of the parameters with few values, a truth or a formula."""
        names = [name for name in sorted(scope.inputs(node)) if scope[name].role != "absent"]
        finite = [name for name in names if name in self._chosen]
        if math.prod(len(self._chosen[name]) + 1 for name in finite) > MOST_COMBINATIONS:
            raise NotEncodableError("too many combinations of values")
        if self._is_finite(node, scope):
            return self._table(node, scope, finite)
        if not isinstance(node, Comparison):
            raise NotEncodableError(f"'{expression.to_text(node)}' is not a comparison of numbers")
        cases = [(guard, self._compared(node, scope, values)) for guard, values in self._combinations(finite)]
        return Truths(*(self._cases([(g, t[part]) for g, t in cases]) for part in range(3)))

    def _is_finite(self, node: Node, scope: Scope) -> bool:
        names = [name for name in scope.inputs(node) if scope[name].role != "absent"]
        return all(name in self._chosen or name in self._known for name in names)

    def _table(self, node: Node, scope: Scope, finite: list[str]) -> Truths:
        """Judged by the compiled rule itself, all combinations at once."""
        combinations = list(self._combinations(finite))
        columns: dict[str, Any] = dict(self._known)
        for name in finite:
            values = [values[name] for _, values in combinations]
            text = self._space[name].value_kind == "text"
            columns[name] = np.array(values, dtype=object if text else float)
        judge = Judge([Clause(node, scope)])
        masks = judge.outcomes(0, columns, len(combinations))
        guards = [guard for guard, _ in combinations]
        return Truths(*(self._or([g for g, held in zip(guards, mask, strict=True) if held]) for mask in masks))

    def _combinations(self, finite: list[str]) -> Iterator[tuple[z3.BoolRef, dict[str, Value | None]]]:
        """Guards and values of every combination; None stands for a conditional parameter that is not set."""
        options = []
        for name in finite:
            domain = self._space[name]
            here: list[tuple[z3.BoolRef, Value | None]] = list(zip(self._chosen[name], domain.grid(), strict=True))
            if domain.when is not None:
                here.append((self._not(self._active[name]), None))
            options.append(here)
        for combination in itertools.product(*options):
            if time.monotonic() > self._deadline:
                raise NotEncodableError("writing it out reached the time limit")
            yield self._and([g for g, _ in combination]), dict(zip(finite, (v for _, v in combination), strict=True))

    def _cases(self, cases: list[tuple[z3.BoolRef, z3.BoolRef]]) -> z3.BoolRef:
        return self._or([self._and([guard, formula]) for guard, formula in cases])

    # -- numbers ---------------------------------------------------------------------------------------------------

    def _compared(
        self, node: Comparison, scope: Scope, values: Mapping[str, Value | None]
    ) -> tuple[z3.BoolRef, z3.BoolRef, z3.BoolRef]:
        """Holds, fails and unset of a comparison, given the values of the parameters with few values."""
        names = [name for name in scope.compared(node) if scope[name].optional]
        given = [self._false if self._is_missing(name, scope, values) else self._activity(name) for name in names]
        present = self._and(given)
        if any(self._is_missing(name, scope, values) for name in names):
            return self._false, self._false, self._true
        holds = self._numbers.compared(node, scope, values)
        if holds is None:
            return self._false, self._false, self._not(present)
        return self._and([present, holds]), self._and([present, self._not(holds)]), self._not(present)

    def _is_missing(self, name: str, scope: Scope, values: Mapping[str, Value | None]) -> bool:
        return scope[name].role == "absent" or (name in values and values[name] is None)

    def _activity(self, name: str) -> z3.BoolRef:
        return self._active.get(name, self._true)

    # -- formulas --------------------------------------------------------------------------------------------------

    @property
    def _true(self) -> z3.BoolRef:
        return z3.BoolVal(True, self.context)

    @property
    def _false(self) -> z3.BoolRef:
        return z3.BoolVal(False, self.context)

    def _not(self, formula: z3.BoolRef) -> z3.BoolRef:
        if z3.is_true(formula):
            return self._false
        return self._true if z3.is_false(formula) else z3.Not(formula)

    def _and(self, parts: list[z3.BoolRef]) -> z3.BoolRef:
        if any(map(z3.is_false, parts)):
            return self._false
        kept = [part for part in parts if not z3.is_true(part)]
        return kept[0] if len(kept) == 1 else z3.And(*kept) if kept else self._true

    def _or(self, parts: list[z3.BoolRef]) -> z3.BoolRef:
        if any(map(z3.is_true, parts)):
            return self._true
        kept = [part for part in parts if not z3.is_false(part)]
        return kept[0] if len(kept) == 1 else z3.Or(*kept) if kept else self._false
