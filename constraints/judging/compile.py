"""Nodes to one numpy form: straight-line programs over points that give truth and margin.

A truth expression has four outcomes: it holds, it fails, it is *not applicable* (it depends on a parameter that is not
set) or it is *undecided* (it depends on a value that cannot be computed). They are carried as masks:

    holds, fails    strong Kleene logic: a false part settles an `and`, a true part settles an `or`, whatever the rest
    unset           neither holds nor fails, and a part that is not set is among the reasons
    undecided       neither holds nor fails, for other reasons

The margin is the robust semantics of signal temporal logic (Fainekos and Pappas 2009; Donze and Maler 2010): distance
to the boundary of a comparison, minimum for `and`, maximum for `or`, negative for `not`; parts without a value are left
out. A comparison's distance is divided by the range of what it compares, in log space where both sides are positive and
a log parameter takes part, and relative to the larger side where no range is known. Text, truths and `==` give 1.

`constraints.judging.source` builds what is written here into a function over columns and plain values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from constraints.judging import sides
from constraints.judging.source import ProgramSource
from constraints.names.domain import TOLERANCE
from constraints.names.intervals import Bounds
from constraints.names.scope import Scope
from constraints.text.expression import (
    OPPOSITE,
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
    Text,
    Truth,
)

Aspect: TypeAlias = Literal["holds", "fails", "unset", "undecided", "margin", "value"]

_FUNCTIONS = {"max": "maximum", "min": "minimum"}
_WHERE = "where({}, {}, {})"
_NOT = "{} ^ True"  # of a truth or a mask; a tenth of the time that numpy takes for a plain truth
_DIVISIONS = {"/": "divide", "//": "floor_divide", "%": "remainder"}


class Compiler:
    """Writes one program: ask for the variables of nodes, then build `source` into a function that returns them."""

    def __init__(self, inputs: Mapping[str, int]) -> None:
        self.source = ProgramSource(inputs)
        self._done: dict[tuple[int, int, Aspect], str] = {}
        self._bounds: dict[int, Bounds] = {}
        self._kept: list[object] = []  # nodes and scopes whose id is a key above

    def variable(self, node: Node, scope: Scope, role: Aspect) -> str:
        """The variable that holds the given role of a node."""
        key = (id(node), id(scope), role)
        if key not in self._done:
            self._kept += (node, scope)
            self._done[key] = _WRITERS[role](self, node, scope)
        return self._done[key]

    def _given(self, name: str, scope: Scope) -> str:
        symbol = scope[name]
        if symbol.role in ("absent", "constant"):
            return self.source.constant(symbol.role == "constant")
        if symbol.body is not None:
            inner = [self._given(name, scope) for name in sorted(scope.inputs(symbol.body))]
            return self.source.join("&", inner or [self.source.constant(True)])
        return self.source.let(f"given[{self.source.inputs[name]}]")

    # -- numbers ---------------------------------------------------------------------------------------------------

    def value(self, node: Node, scope: Scope) -> str:
        """A number, or a plain text."""
        match node:
            case Number(value) | Text(value):
                return self.source.constant(value)
            case Name(name):
                return self._named(name, scope)
            case Negative(operand):
                return self.source.let("-{}", self.variable(operand, scope, "value"))
            case Arithmetic():
                return self._arithmetic(node, scope)
            case Call(function, arguments):
                values = [self.variable(argument, scope, "value") for argument in arguments]
                name = _FUNCTIONS.get(function, function)
                return (
                    self.source.fold(f"{name}({{}}, {{}})", values)
                    if len(values) > 1
                    else self.source.let(f"{name}({{}})", *values)
                )
            case IfElse(condition, then, otherwise):
                return self._choose(condition, then, otherwise, scope, "value")
            case _:
                raise TypeError(f"{type(node).__name__} has no value")

    def _named(self, name: str, scope: Scope) -> str:
        symbol = scope[name]
        if symbol.body is not None:
            return self.variable(symbol.body, scope, "value")
        if symbol.role == "absent":
            return self.source.constant(None if symbol.kind == "text" else math.nan)
        if symbol.value is not None:
            value = symbol.value
            return self.source.constant(value if isinstance(value, str) else float(value))
        return self.source.let(f"columns[{self.source.inputs[name]}]")

    def _arithmetic(self, node: Arithmetic, scope: Scope) -> str:
        left = self.variable(node.left, scope, "value")
        if node.operator == "**":
            return self._power(left, node.right)
        right = self.variable(node.right, scope, "value")
        if node.operator in _DIVISIONS:
            return self.source.let(f"{_DIVISIONS[node.operator]}({{}}, {{}})", left, right)
        return self.source.let(f"{{}} {node.operator} {{}}", left, right)

    def _power(self, base: str, exponent: Node) -> str:
        if isinstance(exponent, Negative) and isinstance(exponent.operand, Number):
            one = self.source.constant(1.0)
            return self.source.let("divide({}, {})", one, self._power(base, exponent.operand))
        return self.source.let("power({}, {})", base, self.source.constant(_number(exponent)))

    def _choose(self, condition: Node, then: Node, otherwise: Node, scope: Scope, role: Aspect) -> str:
        holds = self.variable(condition, scope, "holds")
        fails = self.variable(condition, scope, "fails")
        one, other = (self.variable(part, scope, role) for part in (then, otherwise))
        return self.source.let(_WHERE, holds, one, self.source.let(_WHERE, fails, other, "nan"))

    # -- truths ----------------------------------------------------------------------------------------------------

    def holds(self, node: Node, scope: Scope) -> str:
        """Where the expression certainly holds."""
        return self._certain(node, scope, "holds", "fails")

    def fails(self, node: Node, scope: Scope) -> str:
        """Where the expression certainly does not hold."""
        return self._certain(node, scope, "fails", "holds")

    def _certain(self, node: Node, scope: Scope, role: Aspect, opposite: Aspect) -> str:  # noqa: PLR0911 - one case a node
        holding = role == "holds"
        match node:
            case Truth(value):
                return self.source.constant(value is holding)
            case Name(name):
                body = scope[name].body
                if body is not None:
                    return self.variable(body, scope, role)
                wanted = self.source.constant(1.0 if holding else 0.0)
                return self.source.let("{} == {}", self._named(name, scope), wanted)
            case IsSet(name):
                given = self._given(name, scope)
                return given if holding else self.source.let(_NOT, given)
            case Not(operand):
                return self.variable(operand, scope, opposite)
            case And(parts) | Or(parts):
                operator = "&" if isinstance(node, And) is holding else "|"
                return self.source.join(operator, [self.variable(part, scope, role) for part in parts])
            case IfElse(condition, then, otherwise):
                one = [self.variable(condition, scope, "holds"), self.variable(then, scope, role)]
                other = [self.variable(condition, scope, "fails"), self.variable(otherwise, scope, role)]
                return self.source.join("|", [self.source.join("&", one), self.source.join("&", other)])
            case Comparison(operator, left, right):
                return self._comparison(operator if holding else OPPOSITE[operator], left, right, scope)
            case Membership(left, items, negated):
                operator, joiner = ("==", "|") if holding is not negated else ("!=", "&")
                return self.source.join(joiner, [self._comparison(operator, left, item, scope) for item in items])
            case _:
                raise TypeError(f"{type(node).__name__} is not a truth")

    def _comparison(self, operator: str, left: Node, right: Node, scope: Scope) -> str:
        """Where a comparison certainly holds: False where a side is missing."""
        if isinstance(left, Truth) or isinstance(right, Truth):
            return self._truth_comparison(operator, left, right, scope)
        one, other = self.variable(left, scope, "value"), self.variable(right, scope, "value")
        if sides.is_text(left, scope) or sides.is_text(right, scope):
            return self._text_comparison(operator, (left, right), one, other, scope)
        if sides.is_computed(left, scope) or sides.is_computed(right, scope):
            return self._tolerant(operator, one, other, self._slack(left, right, scope))
        if operator == "!=":  # NaN is unequal to everything, so plain != would hold without a value
            below, above = (self.source.let(f"{{}} {sign} {{}}", one, other) for sign in "<>")
            return self.source.join("|", [below, above])
        return self.source.let(f"{{}} {operator} {{}}", one, other)

    def _truth_comparison(self, operator: str, left: Node, right: Node, scope: Scope) -> str:
        literal, other = (left, right) if isinstance(left, Truth) else (right, left)
        assert isinstance(literal, Truth)
        return self.variable(other, scope, "holds" if literal.value is (operator == "==") else "fails")

    def _text_comparison(self, operator: str, both: tuple[Node, Node], one: str, other: str, scope: Scope) -> str:
        compared = self.source.let(f"{{}} {operator} {{}}", one, other)
        given = [self._given(side.name, scope) for side in both if isinstance(side, Name)]
        return self.source.join("&", [compared, *given]) if operator == "!=" else compared

    def _tolerant(self, operator: str, one: str, other: str, slack: str) -> str:
        """Comparison of computed numbers: equal when they differ by no more than the slack."""
        difference = self.source.let("{} - {}", one, other)
        if operator in ("==", "!="):
            distance = self.source.let("abs({})", difference)
            return self.source.let("{} <= {}" if operator == "==" else "{} > {}", distance, slack)
        least = self.source.let("-{}", slack) if operator in (">=", "<") else slack
        return self.source.let(f"{{}} {operator} {{}}", difference, least)

    def _slack(self, left: Node, right: Node, scope: Scope) -> str:
        """1e-9 of one side: near equality it does not matter which. The smaller bound keeps infinities apart."""
        side = left if isinstance(left, Number) else right
        if isinstance(side, Number):
            return self.source.constant(TOLERANCE * abs(side.value))
        size = self.source.let("abs({})", self.variable(side, scope, "value"))
        capped = self.source.let("minimum({}, {})", size, self.source.constant(1e300))
        return self.source.let("{} * {}", capped, self.source.constant(TOLERANCE))

    # -- what is not set -------------------------------------------------------------------------------------------

    def unset(self, node: Node, scope: Scope) -> str:
        """Where the expression has no truth because it depends on something that is not set."""
        match node:
            case Not(operand):
                return self.variable(operand, scope, "unset")
            case And(parts) | Or(parts):
                below = [self.variable(part, scope, "unset") for part in parts]
            case IfElse(condition, then, otherwise):
                one = [self.variable(condition, scope, "holds"), self.variable(then, scope, "unset")]
                other = [self.variable(condition, scope, "fails"), self.variable(otherwise, scope, "unset")]
                either = [self.source.join("&", side) for side in (one, other)]
                below = [self.variable(condition, scope, "unset"), *either]
            case Name(name) if (body := scope[name].body) is not None:
                return self.variable(body, scope, "unset")
            case _:
                optional = sorted(name for name in scope.compared(node) if scope[name].optional)
                below = [self.source.let(_NOT, self._given(name, scope)) for name in optional]
        if not below:
            return self.source.constant(False)
        return self.source.join("&", [self.source.join("|", below), self._open(node, scope)])

    def undecided(self, node: Node, scope: Scope) -> str:
        """Where the expression has no truth though everything that it depends on is set."""
        return self.source.join(
            "&", [self._open(node, scope), self.source.let(_NOT, self.variable(node, scope, "unset"))]
        )

    def _open(self, node: Node, scope: Scope) -> str:
        certain = self.source.join("|", [self.variable(node, scope, "holds"), self.variable(node, scope, "fails")])
        return self.source.let(_NOT, certain)

    # -- margins ---------------------------------------------------------------------------------------------------

    def margin(self, node: Node, scope: Scope) -> str:  # noqa: PLR0911 - one case a node
        """Signed distance to the boundary: above 0 where the expression holds, NaN where it has no truth."""
        match node:
            case Not(operand):
                return self.source.let("-{}", self.variable(operand, scope, "margin"))
            case And(parts):
                margins = [self.variable(part, scope, "margin") for part in parts]
                return self.source.fold("known_minimum({}, {})", margins)
            case Or(parts):
                margins = [self.variable(part, scope, "margin") for part in parts]
                return self.source.fold("known_maximum({}, {})", margins)
            case IfElse(condition, then, otherwise):
                return self._choose(condition, then, otherwise, scope, "margin")
            case Name(name) if (body := scope[name].body) is not None:
                return self.variable(body, scope, "margin")
            case Comparison(operator, left, right):
                return self._comparison_margin(node, operator, left, right, scope)
            case Membership(left, items, negated):
                parts_ = [self._equality_margin(left, item, scope) for item in items]
                margin = self.source.fold("known_maximum({}, {})", parts_)
                return self.source.let("-{}", margin) if negated else margin
            case _:
                return self._flat_margin(self.variable(node, scope, "holds"), self.variable(node, scope, "fails"))

    def _flat_margin(self, holds: str, fails: str) -> str:
        one, minus_one = self.source.constant(1.0), self.source.constant(-1.0)
        return self.source.let(_WHERE, holds, one, self.source.let(_WHERE, fails, minus_one, "nan"))

    def _comparison_margin(self, node: Comparison, operator: str, left: Node, right: Node, scope: Scope) -> str:
        if isinstance(left, Truth) or isinstance(right, Truth):
            return self._flat_margin(self.variable(node, scope, "holds"), self.variable(node, scope, "fails"))
        if operator in ("==", "!="):
            margin = self._equality_margin(left, right, scope)
            return margin if operator == "==" else self.source.let("-{}", margin)
        distance = self._distance(left, right, scope)
        return distance if operator in (">", ">=") else self.source.let("-{}", distance)

    def _equality_margin(self, left: Node, right: Node, scope: Scope) -> str:
        """1 where equal, else minus the distance but at most 1: how far equality is."""
        holds = self._comparison("==", left, right, scope)
        fails = self._comparison("!=", left, right, scope)
        if sides.is_text(left, scope) or sides.is_text(right, scope):
            return self._flat_margin(holds, fails)
        distance = self.source.let("abs({})", self._distance(left, right, scope))
        capped = self.source.let("minimum({}, {})", distance, self.source.constant(1.0))
        apart = self.source.let("-{}", capped)
        return self.source.let(_WHERE, holds, self.source.constant(1.0), self.source.let(_WHERE, fails, apart, "nan"))

    def _distance(self, left: Node, right: Node, scope: Scope) -> str:
        """`left - right` on the scale that its range gives."""
        bounds = self._bounds.setdefault(id(scope), Bounds(scope))
        one, other = bounds.of(left), bounds.of(right)
        values = [self.variable(side, scope, "value") for side in (left, right)]
        if min(one.low, other.low) > 0 and sides.is_log(left, right, scope):
            values = [self.source.let("log({})", value) for value in values]
            span = math.log(one.high) - math.log(other.low) - math.log(one.low) + math.log(other.high)
        else:
            span = one.high - other.low - one.low + other.high
        difference = self.source.let("{} - {}", *values)
        if math.isfinite(span) and span > 0:
            return self.source.let("{} * {}", difference, self.source.constant(1 / span))
        sizes = [self.source.let("abs({})", value) for value in values]
        largest = self.source.fold("maximum({}, {})", [*sizes, self.source.constant(1e-300)])
        return self.source.let("divide({}, {})", difference, largest)


_WRITERS: dict[Aspect, Callable[[Compiler, Node, Scope], str]] = {
    "holds": Compiler.holds,
    "fails": Compiler.fails,
    "unset": Compiler.unset,
    "undecided": Compiler.undecided,
    "margin": Compiler.margin,
    "value": Compiler.value,
}


def _number(node: Node) -> float:
    assert isinstance(node, Number)
    return node.value
