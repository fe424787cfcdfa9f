"""Names and kinds of an expression: every error that would otherwise surface when a trial is judged."""

from __future__ import annotations

from constraints.names.scope import ExpressionKind, Scope
from constraints.text import expression
from constraints.text.document import did_you_mean
from constraints.text.errors import ExpressionError
from constraints.text.expression import (
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

_A = {"number": "a number", "text": "text", "truth": "true or false", "unknown": "unknown"}


def check(node: Node, scope: Scope, expected: ExpressionKind | None = "truth") -> list[ExpressionError]:
    """Every error of an expression; `expected` is the kind it must have, None when any will do."""
    checker = _Checker(scope)
    kind = checker.kind(node)
    if expected is not None and kind not in (expected, "unknown"):
        checker.complain(node, f"is {_A[kind]}, where {_A[expected]} is needed", _truth_hint(kind, expected))
    return checker.errors


def kind_of(node: Node, scope: Scope) -> ExpressionKind:
    """The kind of an expression without errors."""
    return _Checker(scope).kind(node)


def _truth_hint(kind: ExpressionKind, expected: ExpressionKind) -> str:
    if expected != "truth" or kind not in ("number", "text"):
        return ""
    return "compare it with something, as in " + ("'x > 0'" if kind == "number" else "'x == \"a\"'")


class _Checker:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.errors: list[ExpressionError] = []

    def complain(self, node: Node, message: str, hint: str = "") -> None:
        text = expression.to_text(node)
        shown = text if len(text) <= 60 else text[:57] + "..."
        self.errors.append(ExpressionError(f"'{shown}' {message}", node.start, node.end, hint))

    def kind(self, node: Node) -> ExpressionKind:  # noqa: PLR0911, PLR0912 - one case a node
        """The kind of a node; wrong parts below it are reported on the way and count as what they should have been."""
        match node:
            case Number():
                return "number"
            case Text():
                return "text"
            case Truth():
                return "truth"
            case Name(name):
                return self._named(node, name)
            case IsSet(name):
                self._named(node, name)
                return "truth"
            case Negative(operand):
                return self._all((operand,), "number", "number")
            case Arithmetic(_, left, right):
                return self._all((left, right), "number", "number")
            case Call(_, arguments):
                return self._all(arguments, "number", "number")
            case Not(operand):
                return self._all((operand,), "truth", "truth")
            case And(parts) | Or(parts):
                return self._all(parts, "truth", "truth")
            case Comparison(operator, left, right):
                return self._comparison(node, operator, left, right)
            case Membership(left, items, _):
                return self._membership(node, left, items)
            case IfElse(condition, then, otherwise):
                return self._if_else(node, condition, then, otherwise)

    def _named(self, node: Node, name: str) -> ExpressionKind:
        symbol = self._scope.find(name)
        if symbol is None:
            hint = self._scope.elsewhere(name) or did_you_mean(name, self._scope.known())
            self.complain(Name(name, start=node.start, end=node.end), "is not known here", hint)
            return "unknown"
        if symbol.body is not None:
            for inner in sorted(self._unknown_below(symbol.body)):
                hint = self._scope.elsewhere(inner) or did_you_mean(inner, self._scope.known())
                self.complain(node, f"is derived from '{inner}', which is not known here", hint)
        return symbol.kind

    def _unknown_below(self, body: Node) -> set[str]:
        """Names that a derived value is made of, directly or not, and that do not exist at this moment."""
        unknown: set[str] = set()
        waiting = [body]
        followed: set[str] = set()
        while waiting:
            for name in expression.names(waiting.pop()) - followed:
                followed.add(name)
                symbol = self._scope.find(name)
                if symbol is None:
                    unknown.add(name)
                elif symbol.body is not None:
                    waiting.append(symbol.body)
        return unknown

    def _all(self, parts: tuple[Node, ...], needed: ExpressionKind, result: ExpressionKind) -> ExpressionKind:
        for part in parts:
            kind = self.kind(part)
            if kind not in (needed, "unknown"):
                self.complain(part, f"is {_A[kind]}, where {_A[needed]} is needed", _truth_hint(kind, needed))
        return result

    def _comparison(self, node: Node, operator: str, left: Node, right: Node) -> ExpressionKind:
        kinds = (self.kind(left), self.kind(right))
        if operator not in ("==", "!="):
            for part, kind in zip((left, right), kinds, strict=True):
                if kind in ("text", "truth"):
                    self.complain(part, f"is {_A[kind]}, which has no order", "compare numbers, or use == or !=")
            return "truth"
        if "unknown" not in kinds and kinds[0] != kinds[1]:
            self.complain(node, f"compares {_A[kinds[0]]} with {_A[kinds[1]]}")
        elif kinds == ("text", "text") and not (_is_plain(left) and _is_plain(right)):
            self.complain(node, "compares computed text", "compare a name with a text")
        elif "truth" in kinds and not (isinstance(left, Truth) or isinstance(right, Truth)):
            self.complain(node, "compares two truths", "use 'and', 'or' and 'not'")
        return "truth"

    def _membership(self, node: Node, left: Node, items: tuple[Node, ...]) -> ExpressionKind:
        kind = self.kind(left)
        if kind == "truth" or (kind == "text" and not _is_plain(left)):
            self.complain(left, "cannot be looked up in a list", "use a name")
        for item in items:
            found = self.kind(item)
            if kind not in ("unknown", "truth", found) or found == "truth":
                self.complain(item, f"is {_A[found]}, where {_A[kind]} is needed")
        return "truth"

    def _if_else(self, node: Node, condition: Node, then: Node, otherwise: Node) -> ExpressionKind:
        self._all((condition,), "truth", "truth")
        kinds = (self.kind(then), self.kind(otherwise))
        known = [kind for kind in kinds if kind != "unknown"]
        if "text" in known:
            self.complain(node, "chooses between texts", "choose between numbers or between truths")
            return "unknown"
        if len(set(known)) > 1:
            self.complain(node, f"is {_A[kinds[0]]} or {_A[kinds[1]]}", "both sides must be of one kind")
        return known[0] if known else "unknown"


def _is_plain(node: Node) -> bool:
    return isinstance(node, Name | Text)
