"""Rules as formulas for z3, over the space as it is: choices and steps exactly, decimals as exact fractions.

Parameters with few values become one truth variable a value. A comparison over such parameters alone is put to the
compiled rules themselves, value by value, so that the formula says exactly what judging would say. Only comparisons
that involve a continuous parameter are translated: for each combination of the others' values, into real arithmetic.
A truth expression becomes three formulas, as in `constraints.compile`: it holds, it fails, it lacks what is not set.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import z3

from constraints import expression, parsing
from constraints.compile import is_computed
from constraints.domain import TOLERANCE, Domain, Value, in_order
from constraints.errors import ConstraintsError
from constraints.expression import (
    And,
    Arithmetic,
    Call,
    Comparison,
    IfElse,
    IsSet,
    Membership,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Truth,
)
from constraints.judge import Judge, Rule
from constraints.scope import Scope

#: parameters with more values than this become a number variable; comparisons over more combinations are not encoded
MOST_VALUES = 64
MOST_COMBINATIONS = 4096

Term: TypeAlias = "Fraction | z3.ArithRef"


class NotEncodableError(ConstraintsError):
    """An expression holds something that z3 cannot express exactly (log, exp, sqrt of a continuous value)."""


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
    """

    def __init__(self, space: Mapping[str, Domain], scope: Scope, known: Mapping[str, Value]) -> None:
        self.context = z3.Context()
        self._space = space
        self._known = known
        self._chosen: dict[str, list[z3.BoolRef]] = {}
        self._numbers: dict[str, z3.ArithRef] = {}
        self._active: dict[str, z3.BoolRef] = {}
        self._done: dict[tuple[int, int], Truths] = {}
        self._kept: list[object] = []  # nodes and scopes whose id is a key above
        self.space_formula = self._and(
            [self._declare(d, scope) for d in in_order(space, tuple(scope.symbols)).values()]
        )

    def broken(self, rule: Rule) -> z3.BoolRef:
        """Where a rule is broken for sure or cannot be decided."""
        truths = self.truths(rule.broken, rule.scope)
        undecided = self._and([self._not(each) for each in (truths.holds, truths.fails, truths.unset)])
        return self._or([truths.holds, undecided])

    def is_value(self, name: str, index: int) -> z3.BoolRef:
        """Whether a parameter has the value at an index of its domain."""
        if name in self._chosen:
            return self._chosen[name][index]
        exact = self._space[name].exact_at(index)
        return self._and([self._active[name], self._numbers[name] == self._rational(exact)])

    def has_value(self, name: str, value: Value) -> z3.BoolRef:
        """Whether a parameter has a value of its domain."""
        if name in self._chosen:
            return self._chosen[name][self._space[name].grid().index(value)]
        assert isinstance(value, int | float)
        return self._and([self._active[name], self._numbers[name] == self._rational(Fraction(repr(value)))])

    def number(self, name: str) -> z3.ArithRef | None:
        """The number variable of a parameter that has one."""
        return self._numbers.get(name)

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
        return self._declare_number(domain)

    def _declare_choice(self, domain: Domain, active: z3.BoolRef) -> z3.BoolRef:
        chosen = [z3.Bool(f"{domain.name}={value}", self.context) for value in domain.grid()]
        self._chosen[domain.name] = chosen
        at_most_one = [z3.AtMost(*chosen, 1)] if len(chosen) > 1 else []
        return self._and([self._or(chosen) == active, *at_most_one])

    def _declare_number(self, domain: Domain) -> z3.BoolRef:
        if domain.kind == "float" and domain.step is None:
            number = z3.Real(domain.name, self.context)
            self._numbers[domain.name] = number
            low, high = (self._rational(Fraction(repr(float(end)))) for end in (domain.low, domain.high))
            return self._and([number >= low, number <= high])
        steps = z3.Int(domain.name, self.context)
        low, step = domain.exact_at(0), domain.exact_at(1) - domain.exact_at(0)
        self._numbers[domain.name] = self._rational(low) + self._rational(step) * z3.ToReal(steps)
        return self._and([steps >= 0, steps <= int(domain.points()) - 1])

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
        judge = Judge([Rule("", "refuse", "", 1.0, node, scope, "", 0)])
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
        left, right = (self._term(side, scope, values) for side in (node.left, node.right))
        if left is None or right is None:
            return self._false, self._false, self._not(present)
        holds = self._relation(node, scope, left, right)
        return self._and([present, holds]), self._and([present, self._not(holds)]), self._not(present)

    def _is_missing(self, name: str, scope: Scope, values: Mapping[str, Value | None]) -> bool:
        return scope[name].role == "absent" or (name in values and values[name] is None)

    def _activity(self, name: str) -> z3.BoolRef:
        return self._active.get(name, self._true)

    def _relation(self, node: Comparison, scope: Scope, left: Term, right: Term) -> z3.BoolRef:
        """The comparison with the tolerance that judging has for computed numbers."""
        slack: Term = Fraction(0)
        if is_computed(node.left, scope) or is_computed(node.right, scope):
            slack = self._times(Fraction(TOLERANCE), self._absolute(left if isinstance(node.left, Number) else right))
        difference = self._minus(left, right)
        above = self._less(slack, difference)
        below = self._less(difference, self._minus(Fraction(0), slack))
        match node.operator:
            case ">":
                return above
            case "<":
                return below
            case ">=":
                return self._not(below)
            case "<=":
                return self._not(above)
            case "==":
                return self._and([self._not(above), self._not(below)])
            case _:
                return self._or([above, below])

    def _term(self, node: Node, scope: Scope, values: Mapping[str, Value | None]) -> Term | None:
        """A number as a fraction or a z3 term; None where it does not exist for these values."""
        match node:
            case Number(_, digits):
                return Fraction(digits)
            case Name(name):
                return self._named(name, scope, values)
            case Negative(operand):
                inner = self._term(operand, scope, values)
                return None if inner is None else self._minus(Fraction(0), inner)
            case Arithmetic(operator, left, right):
                sides = [self._term(side, scope, values) for side in (left, right)]
                return None if None in sides else self._arithmetic(operator, *sides)
            case Call(function, arguments):
                parts = [self._term(argument, scope, values) for argument in arguments]
                return None if None in parts else self._call(function, [part for part in parts if part is not None])
            case _:
                raise NotEncodableError(f"'{expression.to_text(node)}' is not arithmetic of continuous values")

    def _named(self, name: str, scope: Scope, values: Mapping[str, Value | None]) -> Term | None:
        symbol = scope[name]
        if symbol.body is not None:
            return self._term(symbol.body, scope, values)
        value = symbol.value if symbol.value is not None else values.get(name, self._known.get(name))
        if isinstance(value, str):
            raise NotEncodableError(f"'{name}' is text")
        if value is not None:
            return Fraction(repr(float(value)))
        if name in self._chosen or symbol.role == "absent":
            return None
        return self._numbers.setdefault(name, z3.Real(name, self.context))

    def _arithmetic(self, operator: str, left: Term, right: Term) -> Term:
        match operator:
            case "+":
                return self._minus(left, self._minus(Fraction(0), right))
            case "-":
                return self._minus(left, right)
            case "*":
                return self._times(left, right)
            case "/" if isinstance(right, Fraction) and right != 0:
                return self._times(left, 1 / right)
            case "**" if isinstance(right, Fraction) and right.denominator == 1 and right > 0:
                result = left
                for _ in range(int(right) - 1):
                    result = self._times(result, left)
                return result
        raise NotEncodableError(f"'{operator}' of a continuous value")

    def _call(self, function: str, parts: list[Term]) -> Term:
        if function == "abs":
            return self._absolute(parts[0])
        if function not in ("min", "max"):
            raise NotEncodableError(f"{function} of a continuous value")
        best = parts[0]
        for part in parts[1:]:
            smaller = self._less(part, best) if function == "min" else self._less(best, part)
            best = self._if(smaller, part, best)
        return best

    def _absolute(self, term: Term) -> Term:
        if isinstance(term, Fraction):
            return abs(term)
        return self._if(self._less(term, Fraction(0)), self._minus(Fraction(0), term), term)

    def _minus(self, left: Term, right: Term) -> Term:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left - right
        return self._z3(left) - self._z3(right)

    def _times(self, left: Term, right: Term) -> Term:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return left * right
        return self._z3(left) * self._z3(right)

    def _less(self, left: Term, right: Term) -> z3.BoolRef:
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            return self._true if left < right else self._false
        return self._z3(left) < self._z3(right)

    def _if(self, condition: z3.BoolRef, then: Term, otherwise: Term) -> Term:
        return z3.If(condition, self._z3(then), self._z3(otherwise))

    def _z3(self, term: Term) -> z3.ArithRef:
        return self._rational(term) if isinstance(term, Fraction) else term

    def _rational(self, number: Fraction) -> z3.ArithRef:
        return z3.Q(number.numerator, number.denominator, self.context)

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
