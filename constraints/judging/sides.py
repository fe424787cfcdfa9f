"""The sides of a comparison: text or number, written or computed, on a log scale or not."""

from __future__ import annotations

from constraints.names.scope import Scope
from constraints.text.expression import Name, Negative, Node, Number, Text, Truth


def is_computed(node: Node, scope: Scope) -> bool:
    """Whether a number is the result of arithmetic, so that it is compared with a tolerance; steps are counted, too."""
    if isinstance(node, Name):
        symbol = scope[node.name]
        stepped = symbol.domain is not None and symbol.domain.kind == "float" and symbol.domain.step is not None
        return symbol.body is not None or stepped
    return not isinstance(node, Number | Text | Truth) and not (
        isinstance(node, Negative) and isinstance(node.operand, Number)
    )


def is_text(node: Node, scope: Scope) -> bool:
    """Whether a side is text, which only equality and membership compare."""
    return isinstance(node, Text) or (isinstance(node, Name) and scope[node.name].kind == "text")


def is_log(left: Node, right: Node, scope: Scope) -> bool:
    """Whether a parameter with a log domain takes part, so that distances are logarithmic."""
    names = scope.inputs(left) | scope.inputs(right)
    return any((domain := scope[name].domain) is not None and domain.log for name in names)
