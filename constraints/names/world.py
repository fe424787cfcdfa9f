"""What a study knows, and the names that it gives to rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from constraints.names import typecheck, vocabulary
from constraints.names.domain import Domain, Value
from constraints.names.scope import ExpressionKind, Scope, Symbol, kind_of_value
from constraints.text import expression, parsing
from constraints.text.errors import ExpressionError
from constraints.text.expression import Node

Direction: TypeAlias = Literal["maximize", "minimize"]

#: nesting of derived values written out; what walks them calls itself a few times a level
_MOST_DEPTH = 100


@dataclass(frozen=True)
class World:
    """What a study knows: see `ruleset.load` for the fields.

    `loose` takes the place of a study where there is none (a file's own examples): names with their kinds, every one
    of which may be not set.
    """

    space: Mapping[str, Domain]
    fixed: Mapping[str, Value]
    facts: Mapping[str, Value] | Collection[str] = ()
    metrics: Collection[str] | None = None
    signals: Collection[str] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    loose: Mapping[str, ExpressionKind] | None = None


def study_scope(world: World) -> Scope:
    """The names that a study gives, without any rule file."""
    symbols = _facts(world) | _parameters(world)
    names = {*vocabulary.SIGNALS, *world.signals}
    signals = {name: Symbol(name, "number", "signal", optional=True) for name in names}
    loose = world.loose is not None
    metrics = {name: Symbol(name, "number", "metric", optional=loose) for name in world.metrics or ()}
    scope = Scope(symbols, signals, metrics, open_metrics=world.metrics is None)
    written = {}
    for name, text in world.derived.items():
        if name not in world.space and name not in world.fixed:
            written[name] = parsing.parse(text)
    return with_derived(scope, written)[0]


def absent(name: str) -> Symbol:
    """A parameter that a file declares and the study does not have: never set."""
    return Symbol(name, "unknown", "absent", optional=True)


def _facts(world: World) -> dict[str, Symbol]:
    given = world.facts if isinstance(world.facts, Mapping) else {}
    loose = world.loose is not None
    names = [*vocabulary.FACTS, *(name for name in world.facts if name not in vocabulary.FACTS)]
    return {name: Symbol(name, kind_of_value(given.get(name, 0.0)), "fact", optional=loose) for name in names}


def _parameters(world: World) -> dict[str, Symbol]:
    searched = {
        name: Symbol(name, domain.value_kind, "parameter", domain=domain, optional=domain.when is not None)
        for name, domain in world.space.items()
    }
    fixed = {name: Symbol(name, kind_of_value(value), "constant", value=value) for name, value in world.fixed.items()}
    loose = {name: Symbol(name, kind, "parameter", optional=True) for name, kind in (world.loose or {}).items()}
    return fixed | searched | loose


def with_derived(
    scope: Scope, written: Mapping[str, Node], declared: Collection[str] = ()
) -> tuple[Scope, list[tuple[str, ExpressionError]]]:
    """Adds derived values, each after those it is made of, and checks them.

    A circle is an error, but for declared parameters: two that are derived from each other are absent where the study
    has neither.
    """
    symbols = dict(scope.symbols)
    errors: list[tuple[str, ExpressionError]] = []
    waiting = dict(written)
    depths: dict[str, int] = {}
    while waiting:
        ready = [name for name, node in waiting.items() if not expression.names(node) & waiting.keys()]
        if not ready and (missing := [name for name in waiting if name in declared]):
            symbols |= {name: absent(name) for name in missing}
            waiting = {name: node for name, node in waiting.items() if name not in missing}
        elif not ready:
            message = f"derived values depend on each other: {', '.join(waiting)}"
            errors += [(name, ExpressionError(message, node.start, node.end)) for name, node in waiting.items()]
            return Scope({**symbols, **{n: Symbol(n, "unknown", "derived") for n in waiting}}, *_rest(scope)), errors
        for name in ready:
            node = waiting.pop(name)
            inner = Scope(symbols | dict(scope.signals) | dict(scope.metrics), *_rest(scope)).at("result")
            found = typecheck.check(node, inner, expected=None)
            depths[name] = _depth(node, depths)
            if depths[name] > _MOST_DEPTH:
                message = f"is nested deeper than {_MOST_DEPTH} levels, the derived values it names written out"
                found.append(ExpressionError(message, node.start, node.end, "derive it in fewer steps"))
            errors += [(name, error) for error in found]
            kind: ExpressionKind = "unknown" if found else typecheck.kind_of(node, inner)
            symbols[name] = Symbol(name, kind, "derived", body=None if found else node)
    return Scope(symbols, *_rest(scope)), errors


def _rest(scope: Scope) -> tuple[Mapping[str, Symbol], Mapping[str, Symbol], bool]:
    return scope.signals, scope.metrics, scope.open_metrics


def _depth(node: Node, derived: Mapping[str, int]) -> int:
    """How deeply an expression is nested, the derived values it names written out."""
    if isinstance(node, expression.Name):
        return 1 + derived.get(node.name, 0)
    return 1 + max((_depth(child, derived) for child in expression.children(node)), default=0)
