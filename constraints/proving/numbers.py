"""Comparisons of continuous numbers as formulas for z3, with room where rounding could turn them.

A proof must not contradict a float. Where the two sides of a comparison lie so near each other that rounding could turn
it, a free truth variable decides it instead: what no choice of these variables allows, no float can show. The same
computation has the same variable wherever it stands, so that two rules which compare the same numbers agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import z3

from constraints.judging.sides import is_computed
from constraints.names.domain import TOLERANCE, Domain, Value
from constraints.names.scope import Scope
from constraints.proving.terms import NotEncodableError, Term, Terms
from constraints.text import expression
from constraints.text.expression import Arithmetic, Call, Comparison, Name, Negative, Node, Number

#: numbers beyond this may overflow where they are multiplied, and then nothing is known of a comparison
_LARGEST = 1e300


class Numbers:
    """The number variables of a space and the comparisons over them.

    Args:
        known: facts that hold at every point; other facts, signals and metrics become variables without bounds.
        few: parameters with few values, each of which is put in as a constant.
        rounded: whether rounding is taken into account; else comparisons are those of exact numbers.
    """

    def __init__(self, context: z3.Context, known: Mapping[str, Value], few: frozenset[str], *, rounded: bool) -> None:
        self._context = context
        self._known = known
        self._few = few
        self._rounded = rounded
        self.terms = Terms(context)
        self._variables: dict[str, Term] = {}
        self._edges: dict[tuple[int, int, int], tuple[z3.BoolRef, z3.BoolRef]] = {}

    def declare(self, domain: Domain) -> list[z3.BoolRef]:
        """Adds the variable of a parameter that is a number with many values; returns what holds of it."""
        name, size = domain.name, max(abs(domain.low), abs(domain.high))
        if domain.kind == "float" and domain.step is None:
            number = z3.Real(name, self._context)
            self._variables[name] = self.terms.variable(name, number, size)
            low, high = (self.terms.z3(Fraction(end)) for end in (domain.low, domain.high))
            return [number >= low, number <= high]
        steps = z3.Int(name, self._context)
        low, step = domain.exact_at(0), domain.exact_at(1) - domain.exact_at(0)
        exact = self.terms.z3(low) + self.terms.z3(step) * z3.ToReal(steps)
        # the points of a stepped float are decimals, which no float is: two roundings at most lie between
        self._variables[name] = self.terms.variable(name, exact, size, 0.0 if domain.kind == "int" else 2**-51 * size)
        return [steps >= 0, steps <= int(domain.points()) - 1]

    def variable(self, name: str) -> z3.ArithRef | None:
        """The number variable of a parameter that has one."""
        return self.terms.z3(self._variables[name].exact) if name in self._variables else None

    def equals(self, name: str, exact: Fraction) -> z3.BoolRef:
        """Whether a parameter that has a number variable is a number."""
        return self.terms.z3(self._variables[name].exact) == self.terms.z3(exact)

    def compared(self, node: Comparison, scope: Scope, values: Mapping[str, Value | None]) -> z3.BoolRef | None:
        """Where a comparison holds, given the values of the parameters with few values; None where a side has no value.

        Raises:
            NotEncodableError: a side is no polynomial.
        """
        case = _Case(self, scope, values)
        left, right = (case.term(side) for side in (node.left, node.right))
        return None if left is None or right is None else self._relation(node, scope, left, right)

    def _relation(self, node: Comparison, scope: Scope, left: Term, right: Term) -> z3.BoolRef:
        """The comparison with the tolerance that judging has for computed numbers."""
        above, below = self._order(left, right, self._slack(node, scope, left, right))
        match node.operator:
            case ">":
                return above
            case "<":
                return below
            case ">=":
                return z3.Not(below)
            case "<=":
                return z3.Not(above)
            case "==":
                return z3.Not(z3.Or(above, below))
            case _:
                return z3.Or(above, below)

    def _slack(self, node: Comparison, scope: Scope, left: Term, right: Term) -> Term | None:
        """What is compared with the tolerance times this; None where numbers are compared as they are."""
        if not (is_computed(node.left, scope) or is_computed(node.right, scope)):
            return None
        return self.terms.absolute(left if isinstance(node.left, Number) else right)

    def _order(self, left: Term, right: Term, slack: Term | None) -> tuple[z3.BoolRef, z3.BoolRef]:
        """Where the left side is judged to lie above the right one, and where below, the slack apart.

        Rounding may turn what lies within an error of the edge. A difference from nothing keeps the sign that the last
        operation gives it; only a product that is too small for a float loses it.
        """
        z3_of = self.terms.z3
        if left.is_constant and right.is_constant:
            return self._settled(left, right, slack)
        difference = z3_of(left.exact) - z3_of(right.exact)
        width = z3_of(Fraction(0)) if slack is None else z3_of(slack.exact) * z3_of(Fraction(TOLERANCE))
        turned, lost = self._stray(left, right, slack)
        if not math.isfinite(turned):
            return self._edge(left, right, slack)
        if not turned and not lost:
            return difference > width, difference < -width
        inner, outer = z3_of(_above(turned)), z3_of(_above(turned + lost))
        over, under = self._edge(left, right, slack)
        above = z3.Or(difference > width + outer, z3.And(over, difference > width - inner))
        below = z3.Or(difference < -width - outer, z3.And(under, difference < inner - width))
        return above, below

    def _settled(self, left: Term, right: Term, slack: Term | None) -> tuple[z3.BoolRef, z3.BoolRef]:
        """Two floats, compared as judging compares them."""
        difference = float(left.exact) - float(right.exact)
        width = 0.0 if slack is None else float(slack.exact) * TOLERANCE
        return z3.BoolVal(difference > width, self._context), z3.BoolVal(difference < -width, self._context)

    def _stray(self, left: Term, right: Term, slack: Term | None) -> tuple[float, float]:
        """How far rounding may turn a comparison, and how far beyond the edge a float may still be nothing."""
        if not self._rounded:
            return 0.0, 0.0
        if slack is None:
            return left.whole_error + right.whole_error, 0.0
        if not left.size + right.size < _LARGEST:
            return math.inf, 0.0
        for one, other in ((left, right), (right, left)):
            if other.is_constant and other.exact == 0 and slack.is_constant:
                return one.error, one.vanishing
        error = left.whole_error + right.whole_error
        return error * (1 + 2 * TOLERANCE) + 2**-50 * TOLERANCE * slack.size, 0.0

    def _edge(self, left: Term, right: Term, slack: Term | None) -> tuple[z3.BoolRef, z3.BoolRef]:
        """What rounding decides when two numbers are compared: free, and the same for the same two computations."""
        key = (left.program, right.program, -1 if slack is None else slack.program)
        if key not in self._edges:
            names = (f"rounding {len(self._edges)} {way}" for way in ("above", "below"))
            over, under = (z3.Bool(name, self._context) for name in names)
            self._edges[key] = over, under
        return self._edges[key]

    def named(self, name: str, scope: Scope, values: Mapping[str, Value | None]) -> Term | None:
        """What stands for a name that is not derived."""
        symbol = scope[name]
        value = symbol.value if symbol.value is not None else values.get(name, self._known.get(name))
        if isinstance(value, str):
            raise NotEncodableError(f"'{name}' is text")
        if value is not None:
            return self.terms.constant(float(value))
        if name in self._few or symbol.role == "absent":
            return None
        if name not in self._variables:
            self._variables[name] = self.terms.variable(name, z3.Real(name, self._context), math.inf)
        return self._variables[name]


class _Case:
    """The sides of one comparison, for one combination of the values of the parameters with few values."""

    def __init__(self, numbers: Numbers, scope: Scope, values: Mapping[str, Value | None]) -> None:
        self._numbers = numbers
        self._terms = numbers.terms
        self._scope = scope
        self._values = values
        self._done: dict[int, Term | None] = {}  # derived values may stand in many places, and are written once

    def term(self, node: Node) -> Term | None:
        """A number as a term; None where it does not exist for these values."""
        if id(node) not in self._done:
            self._done[id(node)] = self._write(node)
        return self._done[id(node)]

    def _write(self, node: Node) -> Term | None:
        match node:
            case Number(value):
                return self._terms.constant(value)
            case Name(name):
                body = self._scope[name].body
                return self._numbers.named(name, self._scope, self._values) if body is None else self.term(body)
            case Negative(operand):
                inner = self.term(operand)
                return None if inner is None else self._terms.negative(inner)
            case Arithmetic(operator, left, right):
                one, other = self.term(left), self.term(right)
                return None if one is None or other is None else self._terms.operation(operator, one, other)
            case Call(function, arguments):
                parts = [self.term(argument) for argument in arguments]
                given = [part for part in parts if part is not None]
                return self._terms.call(function, given) if len(given) == len(parts) else None
            case _:
                raise NotEncodableError(f"'{expression.to_text(node)}' is not arithmetic of continuous values")


def _above(bound: float) -> Fraction:
    """The power of two above a bound that is above 0: a short number for the solver."""
    return Fraction(2) ** (math.frexp(bound)[1]) if bound else Fraction(0)
