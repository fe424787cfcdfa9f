"""Text to nodes.

The grammar is Python's, cut down by an allow-list: the text is split into known tokens first, Python's own parser then
settles precedence, and each of its nodes is either translated or refused. Nothing is ever evaluated here.

    truth      = disjunction ["if" disjunction "else" truth]
    disjunction= conjunction {"or" conjunction}
    conjunction= inversion {"and" inversion}
    inversion  = "not" inversion | comparison
    comparison = number {("<" | "<=" | ">" | ">=" | "==" | "!=") number} | number ["not"] "in" list
    list       = ("[" | "(") literal {"," literal} ("]" | ")")
    number     = term {("+" | "-") term}            term  = factor {("*" | "/" | "//" | "%") factor}
    factor     = "-" factor | power                 power = atom ["**" ["-"] NUMBER]
    atom       = NUMBER | TEXT | "True" | "False" | NAME {"." NAME} | FUNCTION "(" ... ")" | "(" truth ")"
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata

from constraints.text.document import did_you_mean
from constraints.text.errors import ExpressionError
from constraints.text.expression import (
    FUNCTIONS,
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

MAXIMUM_LENGTH = 2_000
MAXIMUM_DEPTH = 40
MAXIMUM_EXPONENT = 8.0


def parse(text: str) -> Node:
    """The nodes of an expression.

    Raises:
        ExpressionError: the text is not an expression of the rule language; the span says where.
    """
    _check_tokens(text)
    flat = "".join(" " if letter.isspace() else letter for letter in text)
    try:
        tree = ast.parse(f"({flat})", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _syntax_error(error, flat) from error
    return _Reader(flat).node(tree.body, depth=0)


# -- tokens ------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s+
    | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<text>"[^"\\\n]*"|'[^'\\\n]*')
    | (?P<operator>\*\*|//|<=|>=|==|!=|[-+*/%<>(),.\[\]])""",
    re.VERBOSE | re.ASCII,
)
_REMEDIES = {
    "=": "write '==' to compare",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!=' to compare",
    "~": "write 'not'",
    "^": "write '**' for a power",
    "≤": "write '<='",
    "≥": "write '>='",
    "\\": "text holds no escapes",
    "{": "write a list as [..]",
    '"': "the text has no closing quote",
    "'": "the text has no closing quote",
}


def _check_tokens(text: str) -> None:
    """Refuses, before anything is parsed, what is too long, too deep or no token of the language."""
    if len(text) > MAXIMUM_LENGTH:
        message = f"the expression is {len(text):,} characters long; at most {MAXIMUM_LENGTH:,} are read"
        raise ExpressionError(message, 0, len(text), "split it with 'derived' values")
    if not text.strip():
        raise ExpressionError("the expression is empty", 0, len(text))
    position, previous = 0, ""
    opened: list[int] = []
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            letter = text[position]
            raise ExpressionError(f"{letter!r} is not allowed here", position, position + 1, _remedy(letter))
        token = match.group()
        kind = match.lastgroup or ""
        if token in (")", "]") and not opened:
            raise ExpressionError(f"'{token}' closes nothing", position, match.end())
        if token in ("(", "["):
            opened.append(position)
        elif token in (")", "]"):
            opened.pop()
        if len(opened) > MAXIMUM_DEPTH:
            raise ExpressionError(f"is nested deeper than {MAXIMUM_DEPTH} levels", position, match.end())
        if kind == "number" and re.match(r"0[0-9]", token):
            raise ExpressionError(
                f"'{token}' begins with 0", position, match.end(), f"write {token.lstrip('0') or '0'}"
            )
        if (
            kind in ("number", "name", "text")
            and previous in ("number", "text")
            and text[position - 1 : position] != " "
        ):
            raise ExpressionError(f"'{token}' follows the value before it directly", position, match.end())
        if kind == previous == "text":
            raise ExpressionError("two texts side by side", position, match.end(), "join them into one text")
        previous = kind or previous
        position = match.end()
    if opened:
        raise ExpressionError(f"'{text[opened[-1]]}' is never closed", opened[-1], opened[-1] + 1)


def _remedy(letter: str) -> str:
    """What to write instead of a character; of one that looks like another, what it is."""
    if letter in _REMEDIES or letter.isascii():
        return _REMEDIES.get(letter, "")
    return f"this is {unicodedata.name(letter, 'no letter')}; write names and signs in plain ASCII"


def _syntax_error(error: Exception, text: str) -> ExpressionError:
    if not isinstance(error, SyntaxError) or error.offset is None:
        return ExpressionError(f"is nested deeper than {MAXIMUM_DEPTH} levels", 0, len(text))
    start = min(max(error.offset - 2, 0), len(text))
    end = max(start + 1, min((error.end_offset or 0) - 2, len(text)))
    reason = error.msg.removeprefix("invalid syntax. ").split(". Perhaps")[0].replace("invalid syntax", "")
    reason = reason if reason and "'" not in reason[:1] else ""
    return ExpressionError(
        "is not an expression" + (f": {reason[:1].lower()}{reason[1:]}" if reason else ""), start, end
    )


# -- Python's nodes to ours --------------------------------------------------------------------------------------------

_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


#: Python's expressions that have a name a person may know; the others are shown as they stand
_NAMES: dict[type[ast.expr], str] = {
    ast.List: "a list outside 'in'",
    ast.Tuple: "a list outside 'in'",
    ast.Subscript: "a subscript",
    ast.UnaryOp: "unary plus",
}


class _Reader:
    """Translates Python's nodes, refusing all that is not on the list. Offsets are those of the unwrapped text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._bytes = f"({text})".encode()

    def node(self, tree: ast.expr, depth: int) -> Node:  # noqa: PLR0911 - one case a node
        if depth > MAXIMUM_DEPTH:
            raise self._error(tree, f"is nested deeper than {MAXIMUM_DEPTH} levels")
        below = depth + 1
        start, end = self._place(tree)
        match tree:
            case ast.Constant(value=value):
                return self._constant(tree, value)
            case ast.Name() | ast.Attribute():
                return Name(self._dotted(tree), start=start, end=end)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self.node(operand, below), start=start, end=end)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.node(operand, below), start=start, end=end)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
                return self._arithmetic(tree, _ARITHMETIC[type(operator)], self.node(left, below), right, below)
            case ast.BoolOp(op=operator, values=values):
                parts = tuple(self.node(value, below) for value in values)
                kind = And if isinstance(operator, ast.And) else Or
                return kind(parts, start=start, end=end)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                nodes = (self.node(part, below) for part in (test, body, orelse))
                return IfElse(*nodes, start=start, end=end)
            case ast.Compare():
                return self._comparisons(tree, below)
            case ast.Call():
                return self._call(tree, below)
            case _:
                shown = _NAMES.get(type(tree), f"'{self._text[start:end]}'")
                raise self._error(tree, f"{shown} is not part of the rule language")

    def _constant(self, tree: ast.Constant, value: object) -> Node:
        start, end = self._place(tree)
        if isinstance(value, bool):
            return Truth(value, start=start, end=end)
        if isinstance(value, str):
            return Text(value, start=start, end=end)
        if not isinstance(value, int | float):
            raise self._error(tree, f"'{self._text[start:end]}' is not part of the rule language")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise self._error(tree, "the number is too large")
        return Number(number, self._text[start:end], start=start, end=end)

    def _arithmetic(self, tree: ast.BinOp, operator: str, left: Node, right: ast.expr, depth: int) -> Node:
        exponent = self.node(right, depth)
        start, end = self._place(tree)
        if operator == "**" and not _is_small_number(exponent):
            raise self._error(right, f"an exponent is a plain number of at most {MAXIMUM_EXPONENT:.0f}")
        return Arithmetic(operator, left, exponent, start=start, end=end)

    def _comparisons(self, tree: ast.Compare, depth: int) -> Node:
        operands = [tree.left, *tree.comparators]
        parts = [
            self._comparison(operator, left, right, depth)
            for operator, left, right in zip(tree.ops, operands, operands[1:], strict=False)
        ]
        start, end = self._place(tree)
        return parts[0] if len(parts) == 1 else And(tuple(parts), start=start, end=end)

    def _comparison(self, operator: ast.cmpop, left: ast.expr, right: ast.expr, depth: int) -> Node:
        start, end = self._place(left)[0], self._place(right)[1]
        if isinstance(operator, ast.In | ast.NotIn):
            items = self._literals(right, depth)
            return Membership(self.node(left, depth), items, isinstance(operator, ast.NotIn), start=start, end=end)
        if type(operator) not in _COMPARISONS:
            raise self._error(right, "'is' is not part of the rule language", "write '=='")
        name = _COMPARISONS[type(operator)]
        return Comparison(name, self.node(left, depth), self.node(right, depth), start=start, end=end)

    def _literals(self, tree: ast.expr, depth: int) -> tuple[Node, ...]:
        if not isinstance(tree, ast.List | ast.Tuple) or not tree.elts:
            raise self._error(tree, "'in' needs a list of values", 'for example: in ["AdamW", "Prodigy"]')
        items = tuple(self.node(item, depth) for item in tree.elts)
        for item, source in zip(items, tree.elts, strict=True):
            number = item.operand if isinstance(item, Negative) else item
            if not isinstance(number, Number | Text | Truth):
                raise self._error(source, "a list holds plain values only")
        return items

    def _call(self, tree: ast.Call, depth: int) -> Node:
        function = tree.func.id if isinstance(tree.func, ast.Name) else ""
        start, end = self._place(tree)
        if function not in FUNCTIONS:
            shown = self._text[slice(*self._place(tree.func))]
            raise self._error(tree.func, f"'{shown}' is not a function here", did_you_mean(shown, FUNCTIONS))
        least, most = FUNCTIONS[function]
        if tree.keywords or not least <= len(tree.args) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            raise self._error(tree, f"{function} takes {count} argument{'s' if most > 1 else ''}")
        arguments = tuple(self.node(argument, depth) for argument in tree.args)
        if function != "is_set":
            return Call(function, arguments, start=start, end=end)
        if not isinstance(arguments[0], Name):
            raise self._error(tree.args[0], "is_set takes the name of a parameter")
        return IsSet(arguments[0].name, start=start, end=end)

    def _dotted(self, tree: ast.expr) -> str:
        if isinstance(tree, ast.Name):
            return tree.id
        if isinstance(tree, ast.Attribute):
            return f"{self._dotted(tree.value)}.{tree.attr}"
        raise self._error(tree, "only names have dotted parts")

    def _place(self, tree: ast.expr) -> tuple[int, int]:
        """Character offsets; Python gives byte offsets, and the text was wrapped in one parenthesis."""
        start = len(self._bytes[: tree.col_offset].decode()) - 1
        return start, len(self._bytes[: tree.end_col_offset].decode()) - 1

    def _error(self, tree: ast.expr, message: str, hint: str = "") -> ExpressionError:
        return ExpressionError(message, *self._place(tree), hint)


def _is_small_number(node: Node) -> bool:
    number = node.operand if isinstance(node, Negative) else node
    return isinstance(number, Number) and number.value <= MAXIMUM_EXPONENT
