"""Why a rule has no answer at a point, and single parts of a rule at one point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from constraints.judging.compile import Aspect
from constraints.judging.judge import Clause, Judge, Rule
from constraints.names.scope import Scope
from constraints.text import expression
from constraints.text.expression import Name, Negative, Node


def undecided_reason(rule: Rule, values: Mapping[str, Any]) -> str:
    """Why a rule has no answer at a point: the innermost part without a value."""
    for node in _innermost_first(rule.broken, rule.scope):
        if isinstance(node, Name) and values.get(node.name) is None and not rule.scope[node.name].optional:
            return f"could not be decided: {node.name} has no value"
        if _is_number(node, rule.scope) and math.isnan(evaluate(node, rule.scope, "value", values)):
            return f"could not be decided: {expression.to_text(node)} has no value here"
    return "could not be decided"


def _innermost_first(node: Node, scope: Scope) -> Iterator[Node]:
    for child in expression.children(node):
        yield from _innermost_first(child, scope)
    if isinstance(node, Name) and (symbol := scope[node.name]).body is not None:
        yield from _innermost_first(symbol.body, scope)
    elif not (isinstance(node, Name) and scope[node.name].role in ("constant", "absent")):
        yield node


def _is_number(node: Node, scope: Scope) -> bool:
    if isinstance(node, Name):
        return scope[node.name].kind == "number"
    return isinstance(node, Negative | expression.Arithmetic | expression.Call)


def evaluate(node: Node, scope: Scope, role: Aspect, values: Mapping[str, Any]) -> Any:
    """One role of a node at one point, through the same compiler that judges."""
    return Judge([Clause(node, scope)]).at_point(role, 0, values)
