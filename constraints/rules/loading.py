"""From rule files to checked rules: what each name means in this study, and every error on the way."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from constraints.judging.judge import Rule
from constraints.names import typecheck, vocabulary
from constraints.names.domain import Domain, Value
from constraints.names.scope import Kind, Moment, Scope, Symbol, kind_of_value
from constraints.rules import rulefile
from constraints.rules.rulefile import RuleFile, RuleSpec, Written
from constraints.text import document, expression, parsing
from constraints.text.document import Document
from constraints.text.errors import DocumentError, ExpressionError, Problem
from constraints.text.expression import Node
from constraints.text.yaml_data import Location

#: a declared parameter this close to one of the study's is a slip of the pen, not another parameter
_SLIP = 0.9
#: nesting of derived values written out; what walks them calls itself a few times a level
_MOST_DEPTH = 100
_MOMENTS: Mapping[str, Moment] = {"stop": "running", "expect": "result"}


@dataclass(frozen=True)
class RuleText:
    """A rule file that is not a file: its text, and the name that problems carry."""

    text: str
    name: str


Source: TypeAlias = "Path | str | RuleText"


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
    loose: Mapping[str, Kind] | None = None


def library() -> dict[str, Path]:
    """Shipped rule files by name."""
    folder = Path(str(resources.files("constraints"))) / "library"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def files_of(sources: Sequence[Source]) -> tuple[list[RuleFile], list[Problem]]:
    """Reads every source; what is wrong with one does not hide what is wrong with another."""
    files: list[RuleFile] = []
    problems: list[Problem] = []
    for source in sources:
        try:
            files.append(rulefile.read(_document(source)))
            problems += files[-1].problems
        except DocumentError as error:
            problems += error.problems
    return files, problems


def _document(source: Source) -> Document:
    if isinstance(source, RuleText):
        return document.parse(source.text, source.name)
    path = Path(source)
    shipped = library()
    name = str(source).removesuffix(".yaml")
    if not path.exists() and name in shipped:
        return document.parse(shipped[name].read_text(encoding="utf-8"), f"{name}.yaml")
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        hint = document.did_you_mean(name, shipped)
        raise DocumentError((Problem(str(source), 0, 0, "is neither a file nor a shipped rule file", hint),))
    return document.read(path)


def repeated_ids(files: Sequence[RuleFile]) -> list[Problem]:
    """Rules of one id in several files."""
    first: dict[str, str] = {}
    problems = []
    for file in files:
        for rule in file.rules:
            if rule.id in first:
                message = f"rule '{rule.id}' is also in {first[rule.id]}"
                problems.append(file.document.problem((*rule.loc, "id"), message, "give each rule its own id"))
        first |= {rule.id: file.document.file for rule in file.rules}
    return problems


# -- names -------------------------------------------------------------------------------------------------------------


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
    return _with_derived(scope, written)[0]


def scope_of(file: RuleFile, world: World) -> tuple[Scope, list[Problem]]:
    """The names of one rule file in a study, and what is wrong with its own."""
    known = study_scope(world)
    symbols = dict(known.symbols)
    problems = []
    for at, name in enumerate(file.parameters):
        if name not in symbols:
            symbols[name] = _absent(name)
            problems += _slips(file, at, name, world) if name not in file.derived else []
    for name, value in file.limits.items():
        if name in known.symbols:
            message = f"the study has a parameter or fact '{name}', so no limit can be called that"
            problems.append(file.document.problem(("limits", name), message, key=True))
        symbols[name] = Symbol(name, "number", "constant", value=value)
    written = {name: each for name, each in file.derived.items() if not _is_given(name, known)}
    symbols |= {name: Symbol(name, "unknown", "derived") for name in file.unread}
    scope = Scope(symbols, known.signals, known.metrics, known.open_metrics)
    scope, errors = _with_derived(scope, {name: each.node for name, each in written.items()}, file.parameters)
    problems += [_problem(file, written[name], error) for name, error in errors]
    return scope, problems


def _depth(node: Node, derived: Mapping[str, int]) -> int:
    """How deeply an expression is nested, the derived values it names written out."""
    if isinstance(node, expression.Name):
        return 1 + derived.get(node.name, 0)
    return 1 + max((_depth(child, derived) for child in expression.children(node)), default=0)


def _absent(name: str) -> Symbol:
    """A parameter that a file declares and the study does not have: never set."""
    return Symbol(name, "unknown", "absent", optional=True)


def _is_given(name: str, known: Scope) -> bool:
    """Whether the study itself has a parameter of this name; it then takes the place of a derived value."""
    symbol = known.symbols.get(name)
    return symbol is not None and symbol.role in ("parameter", "constant")


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


def _with_derived(
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
        if not ready and (absent := [name for name in waiting if name in declared]):
            symbols |= {name: _absent(name) for name in absent}
            waiting = {name: node for name, node in waiting.items() if name not in absent}
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
            kind: Kind = "unknown" if found else typecheck.kind_of(node, inner)
            symbols[name] = Symbol(name, kind, "derived", body=None if found else node)
    return Scope(symbols, *_rest(scope)), errors


def _rest(scope: Scope) -> tuple[Mapping[str, Symbol], Mapping[str, Symbol], bool]:
    return scope.signals, scope.metrics, scope.open_metrics


def _slips(file: RuleFile, at: int, name: str, world: World) -> list[Problem]:
    """A problem if a declared parameter is all but one that the study has and the file does not declare."""
    others = [other for other in (*world.space, *world.fixed) if other not in file.parameters]
    close = [other for other in others if difflib.SequenceMatcher(None, name, other).ratio() >= _SLIP]
    if not close:
        return []
    message = f"the study has no parameter '{name}'"
    return [file.document.problem(("parameters", at), message, f"did you mean '{close[0]}'?")]


# -- rules -------------------------------------------------------------------------------------------------------------


def rules_of(file: RuleFile, scope: Scope, problems: list[Problem]) -> list[Rule]:
    """The rules of a file, checked; what is wrong is added to `problems`."""
    rules = []
    for spec in file.rules:
        moment = scope.at(_MOMENTS.get(spec.kind, "before"))
        written = [*spec.conditions, *([spec.when] if spec.when else [])]
        found = [_problem(file, each, error) for each in written for error in typecheck.check(each.node, moment)]
        problems += found
        if not found:
            rules.append(_rule(file, spec, moment))
    return rules


def _rule(file: RuleFile, spec: RuleSpec, scope: Scope) -> Rule:
    return Rule(
        id=spec.id,
        kind=spec.kind,
        because=spec.because,
        weight=spec.weight,
        broken=spec.broken(),
        scope=scope,
        file=file.document.file,
        line=file.document.at(spec.loc)[0],
    )


def _problem(file: RuleFile, written: Written, error: ExpressionError) -> Problem:
    loc: Location = written.loc
    return file.document.problem_inside(loc, error.start, error.message, error.hint)
