"""The nodes of the rule language's expressions, and their text.

Nodes compare by meaning: `start` and `end`, their character offsets in the text they were read from, take no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

#: function name to the number of arguments it takes (least, most)
FUNCTIONS = {
    "abs": (1, 1),
    "ceil": (1, 1),
    "exp": (1, 1),
    "floor": (1, 1),
    "is_set": (1, 1),
    "log": (1, 1),
    "log10": (1, 1),
    "max": (2, 20),
    "min": (2, 20),
    "round": (1, 1),
    "sqrt": (1, 1),
}
#: a comparison's operator to that of the comparison which holds where it does not
OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}


@dataclass(frozen=True, kw_only=True)
class _Placed:
    start: int = field(default=0, compare=False, repr=False)
    end: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Number(_Placed):
    """A literal; `digits` is the decimal as it was written, for exact proofs."""

    value: float
    digits: str = field(compare=False)


@dataclass(frozen=True)
class Text(_Placed):
    """A text literal."""

    value: str


@dataclass(frozen=True)
class Truth(_Placed):
    """True or False."""

    value: bool


@dataclass(frozen=True)
class Name(_Placed):
    """A parameter, derived value, limit, fact, signal or metric; facts may hold dots."""

    name: str


@dataclass(frozen=True)
class Negative(_Placed):
    """Unary minus."""

    operand: Node


@dataclass(frozen=True)
class Arithmetic(_Placed):
    """`left operator right` with one of + - * / // % **."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Call(_Placed):
    """A function of FUNCTIONS but `is_set`."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class IsSet(_Placed):
    """Whether a conditional parameter is active."""

    name: str


@dataclass(frozen=True)
class Comparison(_Placed):
    """`left operator right` with one of < <= > >= == !=; a chain becomes an And of these."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Membership(_Placed):
    """`left in (items)`, or `not in`."""

    left: Node
    items: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True)
class Not(_Placed):
    """Logical negation."""

    operand: Node


@dataclass(frozen=True)
class And(_Placed):
    """Conjunction of two or more parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or(_Placed):
    """Disjunction of two or more parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class IfElse(_Placed):
    """`then if condition else otherwise`, of numbers or of truths."""

    condition: Node
    then: Node
    otherwise: Node


Node: TypeAlias = (
    Number
    | Text
    | Truth
    | Name
    | Negative
    | Arithmetic
    | Call
    | IsSet
    | Comparison
    | Membership
    | Not
    | And
    | Or
    | IfElse
)


def children(node: Node) -> tuple[Node, ...]:  # noqa: PLR0911 - one case a node
    """The nodes directly below a node."""
    match node:
        case Negative(operand) | Not(operand):
            return (operand,)
        case Arithmetic(_, left, right) | Comparison(_, left, right):
            return (left, right)
        case Call(_, arguments):
            return arguments
        case Membership(left, items, _):
            return (left, *items)
        case And(parts) | Or(parts):
            return parts
        case IfElse(condition, then, otherwise):
            return (condition, then, otherwise)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def names(node: Node) -> frozenset[str]:
    """Every name that the expression mentions, also inside `is_set`."""
    return frozenset(found.name for found in walk(node) if isinstance(found, Name | IsSet))


# -- back to text ------------------------------------------------------------------------------------------------------

_IF, _OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _MINUS, _POWER, _ATOM = range(10)
_ARITHMETIC_LEVEL = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "//": _PRODUCT, "%": _PRODUCT, "**": _POWER}


def to_text(node: Node) -> str:
    """The expression as text that `parse` turns into equal nodes, with no more parentheses than needed."""
    return _write(node)[0]


def _write(node: Node) -> tuple[str, int]:  # noqa: PLR0911, PLR0912 - one case a node
    match node:
        case Number(value, digits):
            return digits or repr(value), _ATOM
        case Text(value):
            return (f"'{value}'" if '"' in value else f'"{value}"'), _ATOM
        case Truth(value):
            return str(value), _ATOM
        case Name(name):
            return name, _ATOM
        case IsSet(name):
            return f"is_set({name})", _ATOM
        case Call(function, arguments):
            return f"{function}({', '.join(map(to_text, arguments))})", _ATOM
        case Negative(operand):
            return f"-{_wrapped(operand, _MINUS)}", _MINUS
        case Arithmetic(operator, left, right):
            level = _ARITHMETIC_LEVEL[operator]
            after = _MINUS if operator == "**" else level + 1
            before = _ATOM if operator == "**" else level
            return f"{_wrapped(left, before)} {operator} {_wrapped(right, after)}", level
        case Comparison(operator, left, right):
            return f"{_wrapped(left, _SUM)} {operator} {_wrapped(right, _SUM)}", _COMPARE
        case Membership(left, items, negated):
            word = "not in" if negated else "in"
            return f"{_wrapped(left, _SUM)} {word} [{', '.join(map(to_text, items))}]", _COMPARE
        case Not(operand):
            return f"not {_wrapped(operand, _NOT)}", _NOT
        case And(parts):
            return " and ".join(_wrapped(part, _NOT) for part in parts), _AND
        case Or(parts):
            return " or ".join(_wrapped(part, _AND) for part in parts), _OR
        case IfElse(condition, then, otherwise):
            text = f"{_wrapped(then, _OR)} if {_wrapped(condition, _OR)} else {_wrapped(otherwise, _IF)}"
            return text, _IF


def _wrapped(node: Node, least: int) -> str:
    text, level = _write(node)
    return text if level >= least else f"({text})"
