"""Domains of parameters: what values a study may try, and in which order parameters depend on each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal, TypeAlias

from constraints.text import document, expression, parsing
from constraints.text.errors import ConstraintsError, ExpressionError

Value: TypeAlias = bool | int | float | str
DomainKind: TypeAlias = Literal["float", "int", "choice"]

#: steps and equal points are compared with this relative tolerance (the study file's rule for steps)
TOLERANCE = 1e-9
#: the rules judge in floats, which tell whole numbers apart up to here
LARGEST_INT = 2**53
#: sums, products and squares of numbers within these bounds are finite and are not lost
LARGEST = 1e100
LEAST_LOG = 1e-100
#: more choices than this are no choice that a search could learn from
MOST_CHOICES = 1_000


@dataclass(frozen=True)
class Domain:
    """What one parameter may be.

    Args:
        name: the parameter.
        kind: `float` and `int` have `low` and `high` (both included), `choice` has `choices`.
        step: distance of neighbouring points, counted from `low`; None for a continuous float, 1 for an int.
        log: whether values are spread evenly on a log scale; then low is above 0 and a float has no step.
        choices: values of one kind (all numbers, all text, or True and False).
        when: an expression of the rule language over other parameters; the parameter is set only where it holds.

    Raises:
        ConstraintsError: the values contradict each other; the message says how.
    """

    name: str
    kind: DomainKind
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()
    when: str | None = None

    def __post_init__(self) -> None:
        if problem := (_choice_problem(self) if self.kind == "choice" else _range_problem(self)):
            raise ConstraintsError(f"{self.name}: {problem}")

    @property
    def value_kind(self) -> Literal["number", "text", "truth"]:
        """The kind that the rule language sees."""
        if self.kind == "choice" and isinstance(self.choices[0], str):
            return "text"
        if self.kind == "choice" and isinstance(self.choices[0], bool):
            return "truth"
        return "number"

    def points(self) -> float:
        """How many values there are; infinity for a continuous float."""
        if self.kind == "choice":
            return len(self.choices)
        if self.kind == "float" and self.step is None:
            return 1 if self.low == self.high else math.inf
        return self._steps + 1

    def value_at(self, index: int) -> Value:
        """The value at 0-based `index` of a domain with finitely many points.

        Raises:
            ConstraintsError: the domain is continuous, or has no such point.
        """
        if not 0 <= index < self.points() or math.isinf(self.points()):
            raise ConstraintsError(f"{self.name} has no point {index}")
        if self.kind == "choice":
            return self.choices[index]
        exact = self.exact_at(index)
        return int(exact) if self.kind == "int" else float(exact)

    def exact_at(self, index: int) -> Fraction:
        """`low + index * step` in exact decimals: 0.25 + 7 * 0.05 is 0.6, not 0.6000000000000001."""
        return _exact(self.low) + index * self._exact_step

    def grid(self) -> tuple[Value, ...]:
        """Every value of a domain with finitely many points."""
        count = self.points()
        if math.isinf(count):
            raise ConstraintsError(f"{self.name} is continuous and has no grid")
        return tuple(self.value_at(index) for index in range(int(count)))

    def contains(self, value: object) -> bool:
        """Whether a value is one of the domain's, with the tolerance that steps have."""
        if self.kind == "choice":
            return any(type(value) is type(choice) and value == choice for choice in self._comparable(value))
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        slack = TOLERANCE * max(abs(self.low), abs(self.high))
        if not self.low - slack <= value <= self.high + slack:
            return False
        if self.kind == "int" and value != int(value):
            return False
        if self.kind == "float" and self.step is None:
            return True
        index = round((value - self.low) / float(self._exact_step))
        return 0 <= index < self.points() and math.isclose(
            value, float(self.exact_at(index)), rel_tol=TOLERANCE, abs_tol=TOLERANCE * float(self._exact_step)
        )

    def _comparable(self, value: object) -> tuple[object, ...]:
        """Choices in the type of `value` where both are numbers, so that 64 is found among 64.0 and True is not 1."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.choices
        kind = type(value)
        return tuple(kind(choice) for choice in self.choices if not isinstance(choice, bool | str) and value == choice)

    @cached_property
    def _exact_step(self) -> Fraction:
        return Fraction(1) if self.step is None else _exact(self.step)

    @cached_property
    def _steps(self) -> int:
        span = (_exact(self.high) - _exact(self.low)) / self._exact_step
        return math.floor(span * (1 + Fraction(TOLERANCE)))


def in_order(space: Mapping[str, Domain], fixed: Sequence[str] = ()) -> dict[str, Domain]:
    """The domains with every parameter after those that its condition names; otherwise in the given order.

    Args:
        space: domains by name.
        fixed: names of parameters with one value, which conditions may mention.

    Raises:
        ConstraintsError: a condition cannot be read, names something unknown, or conditions depend on each other.
    """
    needs = {name: _needs(domain, space, fixed) for name, domain in space.items()}
    ordered: dict[str, Domain] = {}
    while len(ordered) < len(space):
        ready = [name for name in space if name not in ordered and needs[name] <= ordered.keys()]
        if not ready:
            circle = ", ".join(name for name in space if name not in ordered)
            raise ConstraintsError(f"the conditions of these parameters depend on each other: {circle}")
        ordered |= {name: space[name] for name in ready}
    return ordered


def _needs(domain: Domain, space: Mapping[str, Domain], fixed: Sequence[str]) -> frozenset[str]:
    if domain.when is None:
        return frozenset()
    try:
        mentioned = expression.names(parsing.parse(domain.when))
    except ExpressionError as error:
        raise ConstraintsError(f"{domain.name}: 'when: {domain.when}': {error.message}") from error
    for name in sorted(mentioned - space.keys() - set(fixed)):
        hint = document.did_you_mean(name, [*space, *fixed])
        raise ConstraintsError(f"{domain.name}: 'when: {domain.when}' names '{name}', which is no parameter; {hint}")
    return mentioned & space.keys()


def _choice_problem(domain: Domain) -> str:
    choices = domain.choices
    if not choices:
        return "choices are empty; name at least one value"
    if len(choices) > MOST_CHOICES:
        return f"{len(choices):,} choices; at most {MOST_CHOICES:,} are searched. Give numbers as a range with a step"
    kinds = {"truth" if isinstance(c, bool) else "text" if isinstance(c, str) else "number" for c in choices}
    if len(kinds) > 1:
        return "choices mix kinds; use all numbers, all text, or true and false"
    if wrong := next(filter(None, map(_number_problem, choices)), ""):
        return f"choices hold {wrong}"
    if len(set(choices)) < len(choices):
        return f"choices hold {next(c for c in choices if choices.count(c) > 1)!r} twice"
    return ""


def _number_problem(number: Value) -> str:
    """What is wrong with a number, whatever it stands for."""
    if isinstance(number, str):
        return ""
    if isinstance(number, float) and not math.isfinite(number):
        return "a number that is not finite"
    if isinstance(number, int) and abs(number) > LARGEST_INT:
        return f"{_short(number)}; whole numbers are told apart up to 2**53. Write it as text, in quotes"
    if abs(number) > LARGEST:
        return f"{number:g}; numbers go up to {LARGEST:g}"
    return ""


def _short(number: int) -> str:
    """A whole number of any length in a few characters."""
    digits = number.bit_length()
    return str(number) if digits < 200 else f"a whole number of {digits} bits"


def _range_problem(domain: Domain) -> str:
    low, high, step = domain.low, domain.high, domain.step
    for what, number in (("low", low), ("high", high), ("step", step)):
        if number is not None and (wrong := _bound_problem(what, number, domain.kind)):
            return wrong
    if low > high:
        return f"low {low} is above high {high}; swap them"
    return _step_problem(domain) or _log_problem(domain)


def _bound_problem(what: str, number: float, kind: DomainKind) -> str:
    if isinstance(number, float) and not math.isfinite(number):
        return f"{what} {number} must be finite"
    if kind == "int" and abs(number) > LARGEST_INT:
        shown = _short(number) if isinstance(number, int) else f"{number:g}"
        return f"{what} is {shown}; whole numbers are told apart up to 2**53"
    if abs(number) > LARGEST:
        shown = _short(number) if isinstance(number, int) else f"{number:g}"
        return f"{what} is {shown}; numbers go up to {LARGEST:g}"
    if kind == "int" and number != int(number):
        return f"{what} {number} is not whole; low, high and step of an int must be whole numbers"
    return ""


def _step_problem(domain: Domain) -> str:
    low, high, step = domain.low, domain.high, domain.step
    if step is None:
        return ""
    if not step > 0:
        return f"step {step} must be above 0"
    if low < high < low + step * (1 - TOLERANCE):
        return f"step {step} is larger than the range from {low} to {high}; leave it out, or make it smaller"
    if domain.kind == "float" and step < TOLERANCE * max(abs(low), abs(high)):
        return f"step {step} is too fine to tell its points apart; leave it out for a continuous range"
    return ""


def _log_problem(domain: Domain) -> str:
    if not domain.log:
        return ""
    if domain.low <= 0:
        return f"low {domain.low} must be above 0 on a log scale"
    if domain.low < LEAST_LOG:
        return f"low {domain.low} is below {LEAST_LOG:g}, too little for a log scale"
    if domain.step is not None and not (domain.kind == "int" and domain.step == 1):
        return "a step and a log scale exclude each other"
    return ""


def _exact(number: float) -> Fraction:
    """The decimal that a person wrote, not its nearest binary fraction."""
    return Fraction(repr(number) if isinstance(number, float) else number)
