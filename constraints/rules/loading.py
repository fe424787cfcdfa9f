"""From rule files to checked rules: what each name means in this study, and every error on the way."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from constraints.judging.judge import Rule
from constraints.judging.kinds import KINDS
from constraints.names import typecheck
from constraints.names import world as worlds
from constraints.names.scope import Scope, Symbol
from constraints.rules import rulefile
from constraints.rules.rulefile import RuleFile, RuleSpec, WrittenExpression
from constraints.text import document
from constraints.text.document import Document
from constraints.text.errors import DocumentError, ExpressionError, Problem
from constraints.text.yaml_data import Location

#: a declared parameter this close to one of the study's is a slip of the pen, not another parameter
_SLIP = 0.9


@dataclass(frozen=True)
class RuleText:
    """A rule file that is not a file: its text, and the name that problems carry."""

    text: str
    name: str


RuleSource: TypeAlias = "Path | str | RuleText"


def library() -> dict[str, Path]:
    """Shipped rule files by name."""
    folder = Path(str(resources.files("constraints"))) / "library"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def files_of(sources: Sequence[RuleSource]) -> tuple[list[RuleFile], list[Problem]]:
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


def _document(source: RuleSource) -> Document:
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


def scope_of(file: RuleFile, world: worlds.World) -> tuple[Scope, list[Problem]]:
    """The names of one rule file in a study, and what is wrong with its own."""
    known = worlds.study_scope(world)
    symbols = dict(known.symbols)
    problems = []
    for at, name in enumerate(file.parameters):
        if name not in symbols:
            symbols[name] = worlds.absent(name)
            problems += _slips(file, at, name, world) if name not in file.derived else []
    for name, value in file.limits.items():
        if name in known.symbols:
            message = f"the study has a parameter or fact '{name}', so no limit can be called that"
            problems.append(file.document.problem(("limits", name), message, key=True))
        symbols[name] = Symbol(name, "number", "constant", value=value)
    written = {name: each for name, each in file.derived.items() if not _is_given(name, known)}
    symbols |= {name: Symbol(name, "unknown", "derived") for name in file.unread}
    scope = Scope(symbols, known.signals, known.metrics, known.open_metrics)
    scope, errors = worlds.with_derived(scope, {name: each.node for name, each in written.items()}, file.parameters)
    problems += [_problem(file, written[name], error) for name, error in errors]
    return scope, problems


def _is_given(name: str, known: Scope) -> bool:
    """Whether the study itself has a parameter of this name; it then takes the place of a derived value."""
    symbol = known.symbols.get(name)
    return symbol is not None and symbol.role in ("parameter", "constant")


def _slips(file: RuleFile, at: int, name: str, world: worlds.World) -> list[Problem]:
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
        moment = scope.at(KINDS[spec.kind].moment)
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


def _problem(file: RuleFile, written: WrittenExpression, error: ExpressionError) -> Problem:
    loc: Location = written.loc
    return file.document.problem_inside(loc, error.start, error.message, error.hint)
