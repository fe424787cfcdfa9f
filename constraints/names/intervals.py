"""Bounds of numbers over a whole space, by interval arithmetic (Moore 1966).

Two things need them: a margin is divided by the range of what is compared, and an expression whose bounds are finite
cannot fail to have a value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from constraints.names.scope import Scope
from constraints.text.expression import Arithmetic, Call, IfElse, Name, Negative, Node, Number


@dataclass(frozen=True)
class Interval:
    """All numbers from low to high; `total` is False when some points may have no value (a division by zero)."""

    low: float
    high: float
    total: bool = True

    @property
    def finite(self) -> bool:
        """Whether every point has a value and the values are bounded."""
        return self.total and math.isfinite(self.low) and math.isfinite(self.high)


UNKNOWN = Interval(-math.inf, math.inf, total=False)


class Bounds:
    """Bounds of expressions in one scope; each node is worked out once."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._known: dict[int, tuple[Node, Interval]] = {}  # the node is kept, so that its id stays its own

    def of(self, node: Node) -> Interval:
        """Bounds of a number expression."""
        if id(node) not in self._known:
            self._known[id(node)] = (node, self._work_out(node))
        return self._known[id(node)][1]

    def _work_out(self, node: Node) -> Interval:  # noqa: PLR0911 - one case a node
        match node:
            case Number(value):
                return Interval(value, value)
            case Name(name):
                return self._named(name)
            case Negative(operand):
                inner = self.of(operand)
                return Interval(-inner.high, -inner.low, inner.total)
            case Arithmetic(operator, left, right):
                return _checked(_ARITHMETIC[operator], self.of(left), self.of(right))
            case Call(function, arguments):
                return _checked(_FUNCTIONS[function], *map(self.of, arguments))
            case IfElse(_, then, otherwise):
                one, other = self.of(then), self.of(otherwise)
                return Interval(min(one.low, other.low), max(one.high, other.high), total=False)
            case _:
                return UNKNOWN

    def _named(self, name: str) -> Interval:
        symbol = self._scope[name]
        if symbol.body is not None:
            return self.of(symbol.body)
        if symbol.value is not None and not isinstance(symbol.value, str):
            return Interval(float(symbol.value), float(symbol.value))
        domain = symbol.domain
        if domain is None or domain.value_kind != "number":
            return UNKNOWN
        numbers = [float(choice) for choice in domain.choices] or [domain.low, domain.high]
        return Interval(min(numbers), max(numbers), total=not symbol.optional)


def _checked(work: Callable[..., Interval], *parts: Interval) -> Interval:
    """The result of one operation, unknown as soon as a bound is not a number."""
    try:
        result = work(*parts)
    except (OverflowError, ValueError, ZeroDivisionError):
        return UNKNOWN
    if math.isnan(result.low) or math.isnan(result.high):
        return UNKNOWN
    return Interval(result.low, result.high, result.total and all(part.total for part in parts))


def _product(one: Interval, other: Interval) -> Interval:
    corners = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    return Interval(min(corners), max(corners)) if not any(map(math.isnan, corners)) else UNKNOWN


def _quotient(one: Interval, other: Interval) -> Interval:
    if other.low <= 0 <= other.high:
        return UNKNOWN
    return _product(one, Interval(1 / other.high, 1 / other.low))


def _remainder(one: Interval, other: Interval) -> Interval:
    return UNKNOWN if other.low <= 0 <= other.high else Interval(min(0.0, other.low), max(0.0, other.high))


def _floor_quotient(one: Interval, other: Interval) -> Interval:
    quotient = _quotient(one, other)
    return Interval(math.floor(quotient.low), math.floor(quotient.high)) if quotient.finite else UNKNOWN


def _power(base: Interval, exponent: Interval) -> Interval:
    power = exponent.low
    if power < 0:
        return _quotient(Interval(1.0, 1.0), _power(base, Interval(-power, -power)))
    if power != int(power) and base.low < 0:
        return UNKNOWN
    ends = [base.low**power, base.high**power]
    if power % 2 == 0 and base.low < 0 < base.high:
        ends.append(0.0)
    return Interval(min(ends), max(ends))


def _absolute(one: Interval) -> Interval:
    ends = (abs(one.low), abs(one.high))
    return Interval(0.0 if one.low <= 0 <= one.high else min(ends), max(ends))


def _rising(work: Callable[[float], float], least: float = -math.inf) -> Callable[[Interval], Interval]:
    """Bounds under a function that never falls and exists above `least`."""
    return lambda one: Interval(work(one.low), work(one.high)) if one.low > least else UNKNOWN


_ARITHMETIC: dict[str, Callable[[Interval, Interval], Interval]] = {
    "+": lambda one, other: Interval(one.low + other.low, one.high + other.high),
    "-": lambda one, other: Interval(one.low - other.high, one.high - other.low),
    "*": _product,
    "/": _quotient,
    "//": _floor_quotient,
    "%": _remainder,
    "**": _power,
}
_FUNCTIONS: dict[str, Callable[..., Interval]] = {
    "abs": _absolute,
    "ceil": _rising(math.ceil),
    "exp": _rising(math.exp),
    "floor": _rising(math.floor),
    "log": _rising(math.log, 0.0),
    "log10": _rising(math.log10, 0.0),
    "max": lambda *parts: Interval(max(p.low for p in parts), max(p.high for p in parts)),
    "min": lambda *parts: Interval(min(p.low for p in parts), min(p.high for p in parts)),
    "round": _rising(round),
    "sqrt": _rising(math.sqrt, -math.ulp(0.0)),
}
