"""A verdict in sentences with the numbers in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from constraints.judging.judge import Rule
from constraints.judging.kinds import HARD
from constraints.judging.reasons import evaluate
from constraints.names.scope import Scope
from constraints.text import expression
from constraints.text.expression import (
    OPPOSITE,
    And,
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

if TYPE_CHECKING:
    from constraints.rules.ruleset import RuleSet

_WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most", "==": "equal to", "!=": "not equal to"}


def sentences(ruleset: RuleSet, params: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> list[str]:
    """Why a point is refused or discouraged, one sentence a rule; one sentence when nothing speaks against it."""
    verdict = ruleset.check_point(params, facts)
    values = {**ruleset.facts, **(facts or {}), **params}
    rules = {rule.id: rule for rule in ruleset.rules}
    found = []
    for id_ in (*verdict.refused_by, *verdict.discouraged_by):
        rule = rules[id_]
        word = f"discouraged (weight {rule.weight:g})" if rule.kind not in HARD else "refused"
        reason = verdict.undecided.get(id_) or why_broken(rule, values)
        found.append(f"{word} by {id_}: {reason}. {rule.because}")
    return found or ["accepted: no rule refuses or discourages this point"]


def why_broken(rule: Rule, values: Mapping[str, Any]) -> str:
    """The parts of a rule that broke it at a point, in words."""
    if not isinstance(rule.broken, And):
        return _Speaker(rule.scope, values).why(rule.broken, True)
    speaker = _Speaker(rule.scope, values)
    return _sentence([speaker.why(part, True) for part in rule.broken.parts])


class _Speaker:
    """Puts into words why a node holds, or why it does not."""

    def __init__(self, scope: Scope, values: Mapping[str, Any]) -> None:
        self._scope = scope
        self._values = values

    def why(self, node: Node, holds: bool) -> str:  # noqa: PLR0911 - one case a node
        match node:
            case Not(operand):
                return self.why(operand, not holds)
            case And(parts) | Or(parts):
                deciding = [part for part in parts if self._truth(part) is holds] or list(parts)
                return _sentence([self.why(part, holds) for part in deciding])
            case Comparison(operator, left, right):
                return self._comparison(operator if holds else OPPOSITE[operator], left, right)
            case Membership(left, items, negated):
                return self._membership(left, items, holds is not negated)
            case IsSet(name):
                return f"{name} is {'set' if holds else 'not set'}"
            case IfElse(condition, then, otherwise):
                side = then if self._truth(condition) else otherwise
                return _sentence([self.why(condition, bool(self._truth(condition))), self.why(side, holds)])
            case Name(name) if (body := self._scope[name].body) is not None:
                return self.why(body, holds)
            case Name(name):
                return f"{name} is {'true' if holds else 'false'}"
            case _:
                return expression.to_text(node)

    def _comparison(self, operator: str, left: Node, right: Node) -> str:
        if isinstance(left, Number | Text | Truth) and isinstance(right, Name):
            swapped = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
            left, right, operator = right, left, swapped.get(operator, operator)
        if isinstance(right, Text | Truth):
            word = "is" if operator == "==" else "is not"
            shown = right.value if isinstance(right, Text) else str(right.value).lower()
            return f"{expression.to_text(left)} {word} {shown}"
        return f"{self._subject(left)} is {_WORDS[operator]} {self._bound(right)}"

    def _membership(self, left: Node, items: tuple[Node, ...], inside: bool) -> str:
        shown = ", ".join(item.value if isinstance(item, Text) else expression.to_text(item) for item in items)
        return f"{self._subject(left)} is {'one' if inside else 'none'} of {shown}"

    def _subject(self, node: Node) -> str:
        joint = " " if isinstance(node, Name) else " = "
        return f"{expression.to_text(node)}{joint}{self._shown(node)}"

    def _bound(self, node: Node) -> str:
        if isinstance(node, Number | Negative) and not (isinstance(node, Negative) and expression.names(node)):
            return self._shown(node)
        return f"{expression.to_text(node)} ({self._shown(node)})"

    def _shown(self, node: Node) -> str:
        value = evaluate(node, self._scope, "value", self._values)
        return value if isinstance(value, str) else f"{value:.6g}"

    def _truth(self, node: Node) -> bool | None:
        if evaluate(node, self._scope, "holds", self._values):
            return True
        return False if evaluate(node, self._scope, "fails", self._values) else None


def _sentence(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
