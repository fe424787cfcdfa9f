"""`rules test`: a rule file's own examples, run like tests."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import pydantic

from constraints.judging.judge import Judge, Rule
from constraints.judging.kinds import OUTCOMES
from constraints.judging.reasons import undecided_reason
from constraints.names import vocabulary
from constraints.names.scope import ExpressionKind
from constraints.names.world import World
from constraints.rules import loading
from constraints.rules.explain import why_broken
from constraints.rules.loading import RuleSource
from constraints.rules.rulefile import AND_OTHERS, Example, RuleFile
from constraints.text.errors import DocumentError, Problem

#: a name of an example this close to one that a rule lacks is a slip of the pen
_SLIP = 0.8


@dataclass(frozen=True)
class ExampleResult:
    """One example. `problems` says what differs, one line each; empty where the example holds."""

    file: Annotated[str, pydantic.Field(exclude=True)]
    line: int
    name: str
    problems: tuple[str, ...]

    @pydantic.computed_field
    @property
    def passed(self) -> bool:
        """Whether the rules say what the example expects."""
        return not self.problems


def run(
    sources: Sequence[RuleSource], known: Collection[str] = (), signals: Collection[str] = ()
) -> tuple[ExampleResult, ...]:
    """Runs the examples of rule files.

    An example stands for itself: parameters, facts, signals and metrics that it does not give are not set, so rules
    that depend on them do not apply.

    Args:
        known: names that rules may use though neither the file's parameters nor its examples hold them.
        signals: live signals that `stop` rules may use beside those of `vocabulary`.

    Raises:
        DocumentError: with every problem, when a file is not valid.
    """
    files, problems = loading.files_of(sources)
    results: list[ExampleResult] = []
    for file in files:
        slips = _slips(file, signals)
        problems += slips.values()
        loose: dict[str, ExpressionKind] = {
            **dict.fromkeys(known, "unknown"),
            **_kinds(file),
            **dict.fromkeys(slips, "unknown"),
        }
        scope, found = loading.scope_of(file, World({}, {}, signals=signals, loose=loose))
        problems += found
        rules = loading.rules_of(file, scope, problems)
        if not problems:
            results += [_result(file, example, rules) for example in file.examples]
    if problems:
        raise DocumentError(tuple(problems))
    return tuple(results)


def render(results: Sequence[ExampleResult], width: int | None = None) -> str:
    """Results as a test runner prints them; lines are broken at `width` characters where that is given."""
    lines = []
    for result in results:
        lines += _wrapped(f"{'ok    ' if result.passed else 'FAILED'}  {result.name}", width)
        for problem in result.problems:
            lines += _wrapped(f"        {result.file}:{result.line}: {problem}", width)
    failed = sum(not result.passed for result in results)
    lines.append(f"{len(results) - failed} passed, {failed} failed" if results else "the file has no examples")
    return "\n".join(lines)


def _wrapped(text: str, width: int | None) -> list[str]:
    if width is None:
        return [text]
    return textwrap.wrap(
        text, max(width, 20), subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False
    )


def _slips(file: RuleFile, signals: Collection[str]) -> dict[str, Problem]:
    """Names that rules speak of and nobody gives, by which an example has something that is all but that name."""
    given = {name for example in file.examples for name in example.given}
    known = {*given, *file.parameters, *file.derived, *vocabulary.FACTS, *vocabulary.SIGNALS, *signals}
    lacking = sorted(file.mentioned() - known)
    found: dict[str, Problem] = {}
    for example in file.examples:
        for name in sorted(example.given.keys() - file.mentioned()):
            close = difflib.get_close_matches(name, lacking, n=1, cutoff=_SLIP)
            if close and close[0] not in found:
                loc = (*example.loc, "given", name)
                message = f"no rule of this file speaks of '{name}'"
                found[close[0]] = file.document.problem(loc, message, f"did you mean '{close[0]}'?", key=True)
    return found


def _kinds(file: RuleFile) -> dict[str, ExpressionKind]:
    """Kinds of the file's parameters as its examples give them; 'unknown' where none does."""
    kinds: dict[str, ExpressionKind] = dict.fromkeys(file.parameters, "unknown")
    for example in file.examples:
        for name, value in example.given.items():
            kinds[name] = "truth" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
    return {name: kind for name, kind in kinds.items() if name not in file.limits}


def _result(file: RuleFile, example: Example, rules: Sequence[Rule]) -> ExampleResult:
    problems = []
    for outcome, expected in example.outcomes.items():
        concerned = [rule for rule in rules if rule.kind in OUTCOMES[outcome]]
        broken, undecided = Judge(concerned).check(example.given).at_point
        found = {concerned[at].id: why_broken(concerned[at], example.given) for at in broken}
        found |= {concerned[at].id: undecided_reason(concerned[at], example.given) for at in undecided}
        problems += _differences(outcome, expected, found)
    return ExampleResult(file.document.file, file.document.at(example.loc)[0], example.name, tuple(problems))


def _differences(outcome: str, expected: tuple[str, ...], found: Mapping[str, str]) -> list[str]:
    verb = outcome.replace("_by", "").replace("_", " ")
    named = [rule for rule in expected if rule != AND_OTHERS]
    missing = [f"should be {verb} by {rule}, but is not" for rule in named if rule not in found]
    if AND_OTHERS in expected:
        return missing
    return missing + [f"is {verb} by {rule}: {why}" for rule, why in found.items() if rule not in named]
