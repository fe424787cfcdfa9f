"""Nodes to one numpy form: straight-line programs over columns that give truth and margin.

A truth expression has four outcomes: it holds, it fails, it is *not applicable* (it depends on a parameter that is not
set) or it is *undecided* (it depends on a value that cannot be computed). They are carried as three masks:

    holds, fails    strong Kleene logic: a false part settles an `and`, a true part settles an `or`, whatever the rest
    unset           neither holds nor fails, and a part that is not set is among the reasons

The margin is the robust semantics of signal temporal logic (Fainekos and Pappas 2009; Donze and Maler 2010): distance
to the boundary of a comparison, minimum for `and`, maximum for `or`, negative for `not`; parts without a value are left
out. A comparison's distance is divided by the range of what it compares, in log space where both sides are positive and
a log parameter takes part, and relative to the larger side where no range is known. Text, truths and `==` give 1.

A program is Python source of assignments between numbered variables, so equal parts of different rules are computed
once. No text of a rule file ever stands in it: names and literals are numbered, too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from constraints.arithmetic import COLUMNS, NUMBERS
from constraints.domain import TOLERANCE
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
    Text,
    Truth,
)
from constraints.intervals import Bounds
from constraints.scope import Scope

Role: TypeAlias = Literal["holds", "fails", "unset", "margin", "value"]
Program: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], tuple[Any, ...]]
PointProgram: TypeAlias = Callable[[Mapping[str, Any]], "tuple[bool, ...] | None"]

_OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_FUNCTIONS = {"abs": "absolute", "max": "maximum", "min": "minimum"}
_WHERE = "where({}, {}, {})"
_INPUT = re.compile(r"(?:columns|given)\[(\d+)\]")
#: whole numbers beyond 2^53 differ as integers and as floats, so they take the careful path
_MODERATE = ("-9e15", "9e15")
_DIVISIONS = {"/": "divide", "//": "floor_divide", "%": "remainder"}


#: how columns' operations are written for single numbers, which settle an `and` or `or` as soon as they can
_FOR_NUMBERS = {
    "{} & {}": "{} and {}",
    "{} | {}": "{} or {}",
    "negate({})": "not {}",
    "where({}, {}, {})": "{1} if {0} else {2}",
    "absolute({})": "abs({})",
}
#: how deeply single-use variables are written into one another; Python's parser stops at 200 parentheses
_MOST_NESTED = 30


class Compiler:
    """Writes one program. Ask for `variable`s of nodes, then build the function that returns them.

    Args:
        inputs: names to their position among the columns (and the masks of what is set) that the program is given.
    """

    def __init__(self, inputs: Mapping[str, int]) -> None:
        self._inputs = inputs
        self._lines: dict[tuple[str, ...], str] = {}  # (template, operands) to variable, in order
        self._done: dict[tuple[int, int, Role], str] = {}
        self._constants: dict[str, Any] = {"nan": math.nan}
        self._texts: dict[str | None, str] = {}
        self._bounds: dict[int, Bounds] = {}
        self._kept: list[object] = []  # nodes and scopes whose id is a key above

    def variable(self, node: Node, scope: Scope, role: Role) -> str:
        """The variable that holds the given role of a node."""
        key = (id(node), id(scope), role)
        if key not in self._done:
            self._kept += (node, scope)
            self._done[key] = _WRITERS[role](self, node, scope)
        return self._done[key]

    def column_program(self, outputs: Sequence[str]) -> Program:
        """The outputs as a function of columns and masks of what is set, each of shape (points,)."""
        body = [f"{variable} = {line[0].format(*line[1:])}" for line, variable in self._lines.items()]
        return self._build("columns, given", [*body, _return(outputs)], COLUMNS)

    def number_program(self, outputs: Sequence[str]) -> Program:
        """The outputs as a function of single numbers and whether each is set."""
        return self._build("columns, given", self._number_lines(outputs), NUMBERS)

    def point_program(self, outputs: Sequence[str], kinds: Sequence[str]) -> PointProgram:
        """The outputs as a function of values by name; None where a value is missing, of another kind, or large."""
        used = {int(found.group(1)) for line in self._lines if (found := _INPUT.fullmatch(line[0]))}
        bind = [f"i{at} = values[{self._constant(name)}]" for name, at in self._inputs.items() if at in used]
        numbers = [f"i{at}" for at in sorted(used) if kinds[at] == "number"]
        checks = [f"{_MODERATE[0]} < {' + '.join([*numbers, '0.0'])} < {_MODERATE[1]}"]
        checks += [f"i{at}.__class__ is {kinds[at]}" for at in sorted(used) if kinds[at] in ("text", "truth")]
        guarded = [f"  {line}" for line in (*bind, f"if not ({' and '.join(checks)}): return None")]
        body = ["try:", *guarded, "except unfit:", "  return None", *self._number_lines(outputs)]
        body = [_INPUT.sub(_of_point, line) for line in body]
        primitives = {**NUMBERS, "text": str, "truth": bool, "unfit": (KeyError, TypeError, ValueError)}
        return self._build("values", body, primitives)

    def _build(self, arguments: str, body: Sequence[str], primitives: Mapping[str, Any]) -> Callable[..., Any]:
        source = f"def program({arguments}):\n " + "\n ".join(body)
        namespace: dict[str, Any] = {"__builtins__": {}, **primitives, **self._constants}
        exec(compile(source, "<rules>", "exec"), namespace)  # noqa: S102 - numbered variables and primitives only
        program: Callable[..., Any] = namespace["program"]
        return program

    def _number_lines(self, outputs: Sequence[str]) -> list[str]:
        """The lines for single numbers, where a variable that is used once stands where it is used."""
        uses = Counter(operand for line in self._lines for operand in line[1:]) + Counter(outputs)
        written: dict[str, tuple[str, int]] = {}
        body = []
        for (template, *operands), variable in self._lines.items():
            parts = [written.get(operand, (operand, 0)) for operand in operands]
            text = _FOR_NUMBERS.get(template, template).format(*(part for part, _ in parts))
            nested = 1 + max((depth for _, depth in parts), default=0)
            if uses[variable] == 1 and nested < _MOST_NESTED:
                written[variable] = (f"({text})", nested)
            else:
                body.append(f"{variable} = {text}")
        return [*body, _return([written.get(output, (output, 0))[0] for output in outputs])]

    # -- writing ---------------------------------------------------------------------------------------------------

    def _let(self, template: str, *operands: str) -> str:
        """A variable for an operation, the same one for the same operation."""
        return self._lines.setdefault((template, *operands), f"v{len(self._lines)}")

    def _constant(self, value: Any) -> str:
        if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
            return repr(value)
        if not isinstance(value, str | None):
            return "nan"
        name = self._texts.setdefault(value, f"c{len(self._texts)}")
        self._constants[name] = value
        return name

    def _join(self, operator: str, parts: Sequence[str]) -> str:
        """`a & b & c` or `a | b | c`, two at a time so that programs share beginnings."""
        return self._fold(f"{{}} {operator} {{}}", parts)

    def _fold(self, template: str, parts: Sequence[str]) -> str:
        joined = parts[0]
        for part in parts[1:]:
            joined = self._let(template, joined, part)
        return joined

    def _given(self, name: str, scope: Scope) -> str:
        symbol = scope[name]
        if symbol.role in ("absent", "constant"):
            return self._constant(symbol.role == "constant")
        if symbol.body is not None:
            inner = [self._given(name, scope) for name in sorted(scope.inputs(symbol.body))]
            return self._join("&", inner or [self._constant(True)])
        return self._let(f"given[{self._inputs[name]}]")

    # -- numbers ---------------------------------------------------------------------------------------------------

    def value(self, node: Node, scope: Scope) -> str:
        """A number, or a plain text."""
        match node:
            case Number(value) | Text(value):
                return self._constant(value)
            case Name(name):
                return self._named(name, scope)
            case Negative(operand):
                return self._let("-{}", self.variable(operand, scope, "value"))
            case Arithmetic():
                return self._arithmetic(node, scope)
            case Call(function, arguments):
                values = [self.variable(argument, scope, "value") for argument in arguments]
                name = _FUNCTIONS.get(function, function)
                return (
                    self._fold(f"{name}({{}}, {{}})", values)
                    if len(values) > 1
                    else self._let(f"{name}({{}})", *values)
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
            return self._constant(None if symbol.kind == "text" else math.nan)
        if symbol.value is not None:
            value = symbol.value
            return self._constant(value if isinstance(value, str) else float(value))
        return self._let(f"columns[{self._inputs[name]}]")

    def _arithmetic(self, node: Arithmetic, scope: Scope) -> str:
        left = self.variable(node.left, scope, "value")
        if node.operator == "**":
            return self._power(left, node.right)
        right = self.variable(node.right, scope, "value")
        if node.operator in _DIVISIONS:
            return self._let(f"{_DIVISIONS[node.operator]}({{}}, {{}})", left, right)
        return self._let(f"{{}} {node.operator} {{}}", left, right)

    def _power(self, base: str, exponent: Node) -> str:
        if isinstance(exponent, Negative) and isinstance(exponent.operand, Number):
            one = self._constant(1.0)
            return self._let("divide({}, {})", one, self._power(base, exponent.operand))
        return self._let("power({}, {})", base, self._constant(_number(exponent)))

    def _choose(self, condition: Node, then: Node, otherwise: Node, scope: Scope, role: Role) -> str:
        holds = self.variable(condition, scope, "holds")
        fails = self.variable(condition, scope, "fails")
        one, other = (self.variable(part, scope, role) for part in (then, otherwise))
        return self._let(_WHERE, holds, one, self._let(_WHERE, fails, other, "nan"))

    # -- truths ----------------------------------------------------------------------------------------------------

    def holds(self, node: Node, scope: Scope) -> str:
        """Where the expression certainly holds."""
        return self._certain(node, scope, "holds", "fails")

    def fails(self, node: Node, scope: Scope) -> str:
        """Where the expression certainly does not hold."""
        return self._certain(node, scope, "fails", "holds")

    def _certain(self, node: Node, scope: Scope, role: Role, opposite: Role) -> str:  # noqa: PLR0911 - one case a node
        holding = role == "holds"
        match node:
            case Truth(value):
                return self._constant(value is holding)
            case Name(name):
                body = scope[name].body
                if body is not None:
                    return self.variable(body, scope, role)
                return self._let("{} == {}", self._named(name, scope), self._constant(1.0 if holding else 0.0))
            case IsSet(name):
                given = self._given(name, scope)
                return given if holding else self._let("negate({})", given)
            case Not(operand):
                return self.variable(operand, scope, opposite)
            case And(parts) | Or(parts):
                operator = "&" if isinstance(node, And) is holding else "|"
                return self._join(operator, [self.variable(part, scope, role) for part in parts])
            case IfElse(condition, then, otherwise):
                one = [self.variable(condition, scope, "holds"), self.variable(then, scope, role)]
                other = [self.variable(condition, scope, "fails"), self.variable(otherwise, scope, role)]
                return self._join("|", [self._join("&", one), self._join("&", other)])
            case Comparison(operator, left, right):
                return self._comparison(operator if holding else _OPPOSITE[operator], left, right, scope)
            case Membership(left, items, negated):
                operator, joiner = ("==", "|") if holding is not negated else ("!=", "&")
                return self._join(joiner, [self._comparison(operator, left, item, scope) for item in items])
            case _:
                raise TypeError(f"{type(node).__name__} is not a truth")

    def _comparison(self, operator: str, left: Node, right: Node, scope: Scope) -> str:
        """Where a comparison certainly holds: False where a side is missing."""
        if isinstance(left, Truth) or isinstance(right, Truth):
            return self._truth_comparison(operator, left, right, scope)
        one, other = self.variable(left, scope, "value"), self.variable(right, scope, "value")
        if _is_text(left, scope) or _is_text(right, scope):
            return self._text_comparison(operator, (left, right), one, other, scope)
        if is_computed(left, scope) or is_computed(right, scope):
            return self._tolerant(operator, one, other, self._slack(left, right, scope))
        if operator == "!=":  # NaN is unequal to everything, so plain != would hold without a value
            return self._join("|", [self._let("{} < {}", one, other), self._let("{} > {}", one, other)])
        return self._let(f"{{}} {operator} {{}}", one, other)

    def _truth_comparison(self, operator: str, left: Node, right: Node, scope: Scope) -> str:
        literal, other = (left, right) if isinstance(left, Truth) else (right, left)
        assert isinstance(literal, Truth)
        return self.variable(other, scope, "holds" if literal.value is (operator == "==") else "fails")

    def _text_comparison(self, operator: str, sides: tuple[Node, Node], one: str, other: str, scope: Scope) -> str:
        compared = self._let(f"{{}} {operator} {{}}", one, other)
        given = [self._given(side.name, scope) for side in sides if isinstance(side, Name)]
        return self._join("&", [compared, *given]) if operator == "!=" else compared

    def _tolerant(self, operator: str, one: str, other: str, slack: str) -> str:
        """Comparison of computed numbers: equal when they differ by no more than the slack."""
        difference = self._let("{} - {}", one, other)
        if operator in ("==", "!="):
            distance = self._let("absolute({})", difference)
            return self._let("{} <= {}" if operator == "==" else "{} > {}", distance, slack)
        least = self._let("-{}", slack) if operator in (">=", "<") else slack
        return self._let(f"{{}} {operator} {{}}", difference, least)

    def _slack(self, left: Node, right: Node, scope: Scope) -> str:
        """1e-9 of one side: near equality it does not matter which. The smaller bound keeps infinities apart."""
        side = left if isinstance(left, Number) else right
        if isinstance(side, Number):
            return self._constant(TOLERANCE * abs(side.value))
        size = self._let("absolute({})", self.variable(side, scope, "value"))
        capped = self._let("minimum({}, {})", size, self._constant(1e300))
        return self._let("{} * {}", capped, self._constant(TOLERANCE))

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
                below = [self.variable(condition, scope, "unset"), self._join("&", one), self._join("&", other)]
            case Name(name) if (body := scope[name].body) is not None:
                return self.variable(body, scope, "unset")
            case _:
                optional = sorted(name for name in scope.compared(node) if scope[name].optional)
                below = [self._let("negate({})", self._given(name, scope)) for name in optional]
        if not below:
            return self._constant(False)
        certain = self._join("|", [self.variable(node, scope, "holds"), self.variable(node, scope, "fails")])
        return self._join("&", [self._join("|", below), self._let("negate({})", certain)])

    # -- margins ---------------------------------------------------------------------------------------------------

    def margin(self, node: Node, scope: Scope) -> str:  # noqa: PLR0911 - one case a node
        """Signed distance to the boundary: above 0 where the expression holds, NaN where it has no truth."""
        match node:
            case Not(operand):
                return self._let("-{}", self.variable(operand, scope, "margin"))
            case And(parts):
                return self._fold("known_minimum({}, {})", [self.variable(part, scope, "margin") for part in parts])
            case Or(parts):
                return self._fold("known_maximum({}, {})", [self.variable(part, scope, "margin") for part in parts])
            case IfElse(condition, then, otherwise):
                return self._choose(condition, then, otherwise, scope, "margin")
            case Name(name) if (body := scope[name].body) is not None:
                return self.variable(body, scope, "margin")
            case Comparison(operator, left, right):
                return self._comparison_margin(node, operator, left, right, scope)
            case Membership(left, items, negated):
                parts_ = [self._equality_margin(left, item, scope) for item in items]
                margin = self._fold("known_maximum({}, {})", parts_)
                return self._let("-{}", margin) if negated else margin
            case _:
                return self._flat_margin(self.variable(node, scope, "holds"), self.variable(node, scope, "fails"))

    def _flat_margin(self, holds: str, fails: str) -> str:
        one, minus_one = self._constant(1.0), self._constant(-1.0)
        return self._let(_WHERE, holds, one, self._let(_WHERE, fails, minus_one, "nan"))

    def _comparison_margin(self, node: Comparison, operator: str, left: Node, right: Node, scope: Scope) -> str:
        if isinstance(left, Truth) or isinstance(right, Truth):
            return self._flat_margin(self.variable(node, scope, "holds"), self.variable(node, scope, "fails"))
        if operator in ("==", "!="):
            margin = self._equality_margin(left, right, scope)
            return margin if operator == "==" else self._let("-{}", margin)
        distance = self._distance(left, right, scope)
        return distance if operator in (">", ">=") else self._let("-{}", distance)

    def _equality_margin(self, left: Node, right: Node, scope: Scope) -> str:
        """1 where equal, else minus the distance but at most 1: how far equality is."""
        holds = self._comparison("==", left, right, scope)
        fails = self._comparison("!=", left, right, scope)
        if _is_text(left, scope) or _is_text(right, scope):
            return self._flat_margin(holds, fails)
        distance = self._let("absolute({})", self._distance(left, right, scope))
        capped = self._let("minimum({}, {})", distance, self._constant(1.0))
        apart = self._let("-{}", capped)
        return self._let(_WHERE, holds, self._constant(1.0), self._let(_WHERE, fails, apart, "nan"))

    def _distance(self, left: Node, right: Node, scope: Scope) -> str:
        """`left - right` on the scale that its range gives."""
        bounds = self._bounds.setdefault(id(scope), Bounds(scope))
        one, other = bounds.of(left), bounds.of(right)
        values = [self.variable(side, scope, "value") for side in (left, right)]
        if min(one.low, other.low) > 0 and _is_log(left, right, scope):
            values = [self._let("log({})", value) for value in values]
            span = math.log(one.high) - math.log(other.low) - math.log(one.low) + math.log(other.high)
        else:
            span = one.high - other.low - one.low + other.high
        difference = self._let("{} - {}", *values)
        if math.isfinite(span) and span > 0:
            return self._let("{} * {}", difference, self._constant(1 / span))
        sizes = [self._let("absolute({})", value) for value in values]
        largest = self._fold("maximum({}, {})", [*sizes, self._constant(1e-300)])
        return self._let("divide({}, {})", difference, largest)


_WRITERS: dict[Role, Callable[[Compiler, Node, Scope], str]] = {
    "holds": Compiler.holds,
    "fails": Compiler.fails,
    "unset": Compiler.unset,
    "margin": Compiler.margin,
    "value": Compiler.value,
}


def _of_point(found: re.Match[str]) -> str:
    """How an input is written in a program that binds its own: whatever it has bound is set."""
    return f"i{found.group(1)}" if found.group().startswith("columns") else "True"


def _return(outputs: Sequence[str]) -> str:
    return f"return ({' '.join(f'{output},' for output in outputs)})"


def is_computed(node: Node, scope: Scope) -> bool:
    """Whether a number is the result of arithmetic, so that it is compared with a tolerance; steps are counted, too."""
    if isinstance(node, Name):
        symbol = scope[node.name]
        stepped = symbol.domain is not None and symbol.domain.kind == "float" and symbol.domain.step is not None
        return symbol.body is not None or stepped
    return not isinstance(node, Number | Text | Truth) and not (
        isinstance(node, Negative) and isinstance(node.operand, Number)
    )


def _is_text(node: Node, scope: Scope) -> bool:
    return isinstance(node, Text) or (isinstance(node, Name) and scope[node.name].kind == "text")


def _is_log(left: Node, right: Node, scope: Scope) -> bool:
    names = scope.inputs(left) | scope.inputs(right)
    return any((domain := scope[name].domain) is not None and domain.log for name in names)


def _number(node: Node) -> float:
    assert isinstance(node, Number)
    return node.value
