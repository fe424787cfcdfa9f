"""Numbers in a proof: what they are exactly, and how far the floats that judging computes may lie from that.

A float operation gives the exact result of its operands, rounded: fl(a op b) = (a op b)(1 + d), |d| <= 2^-53 (IEEE 754;
Higham 2002, Accuracy and Stability of Numerical Algorithms, section 2.2). Followed through an expression with bounds of
its parts, that bounds the distance of the whole (forward error analysis, sections 3.1 and 3.3). What is made of
constants alone is computed in floats, as judging does, and so is exact here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TypeAlias

import numpy as np
import z3

from constraints.judging.arithmetic import PRIMITIVES
from constraints.text.errors import ConstraintsError

Exact: TypeAlias = "Fraction | z3.ArithRef"

#: relative error of one rounded operation, a little more than 2^-53 so that the bounds' own rounding is covered
_UNIT = 2.0**-52.9
#: products below this may be rounded to nothing
_LEAST = 2.0**-1020
#: a polynomial of higher degree takes solvers without any end in sight
MOST_DEGREE = 8


class NotEncodableError(ConstraintsError):
    """An expression holds something that z3 cannot express exactly (log, exp, sqrt of a continuous value)."""


@dataclass(frozen=True)
class Term:
    """One number.

    Attributes:
        exact: its value in real arithmetic.
        size: the largest magnitude it can have; infinite where no bound is known.
        error: how far the float may lie from `exact` before its last operation is rounded. Where this is 0 the float
            has the sign of `exact`, or is 0.
        rounding: what rounding the last operation adds to that.
        vanishing: below this magnitude the float may be 0 where `exact` is not.
        program: a number for the float computation; equal computations have equal numbers.
        degree: of the polynomial.
    """

    exact: Exact
    size: float
    program: int
    error: float = 0.0
    rounding: float = 0.0
    vanishing: float = 0.0
    degree: int = 0

    @property
    def is_constant(self) -> bool:
        """Whether it is one float, known exactly."""
        return isinstance(self.exact, Fraction)

    @property
    def whole_error(self) -> float:
        """How far the float may lie from `exact`."""
        return self.error + self.rounding


class Terms:
    """Arithmetic on terms in one z3 context."""

    def __init__(self, context: z3.Context) -> None:
        self._context = context
        self._programs: dict[tuple[str | float | int, ...], int] = {}

    # -- where numbers begin ---------------------------------------------------------------------------------------

    def constant(self, value: float) -> Term | None:
        """One float; None for NaN.

        Raises:
            NotEncodableError: it is infinite.
        """
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise NotEncodableError("a number that is too large")
        return Term(Fraction(value), abs(value), self._program("constant", value))

    def variable(self, name: str, exact: z3.ArithRef, size: float, error: float = 0.0) -> Term:
        """A number variable of at most `size`; `error` is the distance of its floats from the exact values."""
        return Term(exact, size, self._program("variable", name), error, degree=1)

    # -- operations ------------------------------------------------------------------------------------------------

    def operation(self, operator: str, left: Term, right: Term) -> Term | None:
        """`left operator right`; None where it has no value.

        Raises:
            NotEncodableError: it is no polynomial.
        """
        if left.is_constant and right.is_constant:
            return self._folded(operator, left, right)
        program = self._program(operator, left.program, right.program)
        match operator:
            case "+" | "-":
                return self._sum(operator, left, right, program)
            case "*":
                return self._product(left, right, program)
            case "/" if right.is_constant and right.exact != 0:
                return self._quotient(left, right, program)
            case "**" if right.is_constant:
                return self._power(left, right, program)
        raise NotEncodableError(f"'{operator}' of a continuous value")

    def negative(self, term: Term) -> Term:
        """Minus a term, which no float rounds."""
        return self._changed(term, -term.exact, self._program("negative", term.program))

    def absolute(self, term: Term) -> Term:
        """The magnitude of a term, which no float rounds."""
        exact = abs(term.exact) if isinstance(term.exact, Fraction) else z3.If(term.exact < 0, -term.exact, term.exact)
        return self._changed(term, exact, self._program("absolute", term.program))

    def call(self, function: str, parts: Sequence[Term]) -> Term | None:
        """A function of terms; None where it has no value.

        Raises:
            NotEncodableError: a continuous value takes part and the function is none of `abs`, `min` and `max`.
        """
        if function == "abs":
            return self.absolute(parts[0])
        if function in ("min", "max"):
            best = parts[0]
            for part in parts[1:]:
                best = self._better(function, best, part)
            return best
        if all(part.is_constant for part in parts):
            return self.constant(_calculated(function, *(float(part.exact) for part in parts)))
        raise NotEncodableError(f"{function} of a continuous value")

    def z3(self, exact: Exact) -> z3.ArithRef:
        """An exact number as z3 writes it."""
        return z3.Q(exact.numerator, exact.denominator, self._context) if isinstance(exact, Fraction) else exact

    # -- one operation each ----------------------------------------------------------------------------------------

    def _folded(self, operator: str, left: Term, right: Term) -> Term | None:
        one, other = float(left.exact), float(right.exact)
        return self.constant(_FOLDED[operator](one, other))

    def _sum(self, operator: str, left: Term, right: Term, program: int) -> Term:
        one, other = self.z3(left.exact), self.z3(right.exact)
        size = left.size + right.size
        error = left.whole_error + right.whole_error
        degree = max(left.degree, right.degree)
        exact = one + other if operator == "+" else one - other
        return Term(exact, size, program, error, _UNIT * (size + error), degree=degree)

    def _product(self, left: Term, right: Term, program: int) -> Term:
        degree = left.degree + right.degree
        if degree > MOST_DEGREE:
            raise NotEncodableError(f"a product of more than {MOST_DEGREE} continuous values")
        size = _times(left.size, right.size)
        errors = left.whole_error, right.whole_error
        error = _times(left.size, errors[1]) + _times(right.size, errors[0]) + _times(errors[0], errors[1])
        exact = self.z3(left.exact) * self.z3(right.exact)
        return Term(exact, size, program, error, _UNIT * (size + error) + _LEAST, _LEAST, degree)

    def _quotient(self, left: Term, right: Term, program: int) -> Term:
        assert isinstance(right.exact, Fraction)
        by = abs(float(right.exact))
        size, error = left.size / by, left.whole_error / by
        exact = self.z3(left.exact) * self.z3(1 / right.exact)
        return Term(exact, size, program, error, _UNIT * (size + error) + _LEAST, _LEAST, left.degree)

    def _power(self, base: Term, exponent: Term, program: int) -> Term:
        power = exponent.exact
        if not (isinstance(power, Fraction) and power.denominator == 1 and power > 0):
            raise NotEncodableError("a power that is no whole number above 0, of a continuous value")
        result = base
        for _ in range(int(power) - 1):
            result = self._product(result, base, program)
        # a library's power may be off by two roundings more than its products would be
        return Term(
            result.exact,
            result.size,
            program,
            result.error + 2 * _UNIT * result.size,
            result.rounding,
            result.vanishing,
            result.degree,
        )

    def _better(self, function: str, one: Term, other: Term) -> Term:
        program = self._program(function, one.program, other.program)
        if isinstance(one.exact, Fraction) and isinstance(other.exact, Fraction):
            better = min(one.exact, other.exact) if function == "min" else max(one.exact, other.exact)
            return Term(better, abs(float(better)), self._program("constant", float(better)))
        left, right = self.z3(one.exact), self.z3(other.exact)
        exact = z3.If(right < left if function == "min" else left < right, right, left)
        most = [max(pair) for pair in zip(_bounds(one), _bounds(other), strict=True)]
        return Term(exact, most[0], program, most[1], most[2], most[3], max(one.degree, other.degree))

    def _changed(self, term: Term, exact: Exact, program: int) -> Term:
        if isinstance(exact, Fraction):
            return Term(exact, term.size, self._program("constant", float(exact)))
        return Term(exact, term.size, program, term.error, term.rounding, term.vanishing, term.degree)

    def _program(self, *operation: str | float | int) -> int:
        return self._programs.setdefault(operation, len(self._programs))


def _calculated(primitive: str, *numbers: float) -> float:
    """What the compiled rule calculates from the same numbers."""
    with np.errstate(all="ignore"):
        return float(PRIMITIVES[primitive](*numbers))


_FOLDED: dict[str, Callable[[float, float], float]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": partial(_calculated, "divide"),
    "//": partial(_calculated, "floor_divide"),
    "%": partial(_calculated, "remainder"),
    "**": lambda one, other: (
        _calculated("power", one, other)
        if other >= 0
        else _calculated("divide", 1.0, _calculated("power", one, -other))
    ),
}


def _bounds(term: Term) -> tuple[float, float, float, float]:
    return term.size, term.error, term.rounding, term.vanishing


def _times(one: float, other: float) -> float:
    """A product of bounds; nothing times anything is nothing, also where no bound is known."""
    return one * other if one and other else 0.0
