"""What the names in a rule file mean: parameters, fixed values, limits, derived values, facts, signals, metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from constraints.names.domain import Domain, Value
from constraints.text import expression
from constraints.text.expression import IsSet, Name, Node

ExpressionKind: TypeAlias = Literal["number", "text", "truth", "unknown"]
SymbolRole: TypeAlias = Literal["parameter", "absent", "constant", "derived", "fact", "signal", "metric"]
Moment: TypeAlias = Literal["before", "running", "result"]


def kind_of_value(value: object) -> ExpressionKind:
    """The kind that the rule language sees in a plain value."""
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


@dataclass(frozen=True)
class Symbol:
    """One name.

    `value` holds a constant (a limit, a fixed parameter), `digits` its decimal text; `domain` belongs to a parameter,
    `body` to a derived value. `optional` says that the name may be *not set*, which makes a rule not applicable,
    where a value that is merely missing leaves the rule undecided.
    """

    name: str
    kind: ExpressionKind
    role: SymbolRole
    value: Value | None = None
    domain: Domain | None = None
    body: Node | None = None
    optional: bool = False


@dataclass(frozen=True, eq=False)
class Scope:
    """Names of one rule file in one study. A metric may share its name with a signal, so the moment decides."""

    symbols: Mapping[str, Symbol]
    signals: Mapping[str, Symbol] = field(default_factory=dict)
    metrics: Mapping[str, Symbol] = field(default_factory=dict)
    open_metrics: bool = False
    moment: Moment = "before"

    def at(self, moment: Moment) -> Scope:
        """The same names at another moment."""
        return Scope(self.symbols, self.signals, self.metrics, self.open_metrics, moment)

    def find(self, name: str) -> Symbol | None:
        """What `name` means at this moment, or None."""
        if name in self.symbols:
            return self.symbols[name]
        if self.moment == "running":
            return self.signals.get(name)
        if self.moment == "result":
            found = self.metrics.get(name)
            return Symbol(name, "number", "metric") if found is None and self.open_metrics else found
        return None

    def __getitem__(self, name: str) -> Symbol:
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def known(self) -> list[str]:
        """Every name that may be used at this moment."""
        extra = {"before": {}, "running": self.signals, "result": self.metrics}[self.moment]
        return sorted({*self.symbols, *extra})

    def elsewhere(self, name: str) -> str:
        """Where a name is known if not here: a phrase for an error message, or nothing."""
        if name in self.signals and self.moment != "running":
            return "it is only known while a trial runs; use it in a 'stop' rule"
        if name in self.metrics and self.moment != "result":
            return "it is only known when a trial has ended; use it in an 'expect' rule"
        return ""

    def inputs(self, node: Node) -> frozenset[str]:
        """The names that decide the expression's value: derived values followed to what they are made of."""
        return frozenset(symbol.name for symbol in self._leaves(node) if symbol.role != "constant")

    def compared(self, node: Node) -> frozenset[str]:
        """As `inputs`, without names that stand only inside `is_set`."""
        return frozenset(s.name for s in self._leaves(node, guarded=False) if s.role != "constant")

    def _leaves(self, node: Node, guarded: bool = True) -> Iterator[Symbol]:
        """Symbols below a node, each derived value followed once."""
        waiting, followed = [node], set()
        while waiting:
            for found in expression.walk(waiting.pop()):
                if isinstance(found, Name) or (guarded and isinstance(found, IsSet)):
                    symbol = self[found.name]
                    if symbol.body is None:
                        yield symbol
                    elif symbol.name not in followed:
                        followed.add(symbol.name)
                        waiting.append(symbol.body)
