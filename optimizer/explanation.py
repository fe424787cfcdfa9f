"""Why a point that a person names is accepted, refused or discouraged: alone, or in a study as its search judges it."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from constraints.judging import kinds
from constraints.judging import verdict as verdicts
from constraints.names import scope as scopes
from constraints.names import vocabulary
from constraints.rules import explain, loading
from constraints.rules import ruleset as rulesets
from constraints.text import document as documents
from constraints.text import errors as constraint_errors
from optimizer import errors
from optimizer.designs import judgement
from optimizer.forecast import situation as situations
from optimizer.study import points
from optimizer.study import resolved as studies
from optimizer.study import space as spaces
from trainers.data import counters
from trainers.declared import registry


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A verdict (`constraints.judging.verdict`) in sentences, and what a person should know of the point beside it."""

    verdict: str
    refused_by: tuple[str, ...]
    weight: float
    violations: Mapping[str, float]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]

    def render(self, width: int | None) -> str:
        """A sentence a line, broken at `width` characters where that is given."""
        lines = [*self.sentences, *(f"note: {note}" for note in self.notes)]
        if width is None:
            return "\n".join(lines)
        return "\n".join(textwrap.fill(line, max(width, 20), subsequent_indent="  ") for line in lines)


# -- alone -------------------------------------------------------------------------------------------------------------


def alone(source: loading.RuleSource, point: Mapping[str, Any]) -> Explanation:
    """Judge a point without a study: what it does not name is not set.

    Raises:
        errors.BadInput: the rules are wrong, or the point names what nobody knows or gives it another kind.
    """
    files, problems = loading.files_of([source])
    if problems:
        raise errors.BadInput(str(constraint_errors.DocumentError(tuple(problems))))
    mentioned = files[0].mentioned()
    _check_names(point, mentioned)
    rules = _load_alone(source, point, mentioned)
    known = {**situations.Situation(situations.gpus(), counters.StepCounter(None)).facts(point), **point}
    needed = {name for rule in _before(rules) for name in rule.scope.inputs(rule.broken)}
    missing = _missing(sorted(needed - known.keys()), "rules that need it do not apply")
    return _explained(rules.check_point(known), explain.sentences(rules, known), missing)


def _check_names(point: Mapping[str, Any], mentioned: frozenset[str]) -> None:
    trained = {name for declared in registry.declarations().values() for name in declared.parameters}
    known = mentioned | trained | set(vocabulary.FACTS)
    problems = []
    for name in point:
        if name not in known:
            near = documents.nearest(name, mentioned) or documents.nearest(name, known)
            remedy = f"did you mean '{near}'?" if near else "leave it out, or name a parameter of the rules"
            problems.append(f"'{name}' is known to neither these rules nor a trainer; {remedy}")
    if problems:
        raise points.bad(problems)


def _load_alone(source: loading.RuleSource, point: Mapping[str, Any], mentioned: frozenset[str]) -> rulesets.RuleSet:
    """The rules over the kinds that the point gives; a value of another kind than the rules need is the point's fault.

    A rule file is right or wrong whatever a point says, so it is read with unknown kinds first.
    """
    unknown: dict[str, scopes.ExpressionKind] = dict.fromkeys(mentioned - vocabulary.FACTS.keys(), "unknown")
    given = {name: scopes.kind_of_value(value) for name, value in point.items()}
    try:
        rulesets.load_alone([source], unknown)
    except constraint_errors.ConstraintsError as error:
        raise errors.BadInput(str(error)) from error
    problems = []
    for name, kind in given.items():
        try:
            rulesets.load_alone([source], {**unknown, name: kind})
        except constraint_errors.DocumentError as error:
            first = error.problems[0]
            problems.append(f"'{name}' is {points.shown(point[name])}: {first.file}:{first.line}: {first.message}")
    if problems:
        raise points.bad(problems)
    return rulesets.load_alone([source], {**unknown, **given})


def _before(rules: rulesets.RuleSet) -> list[rulesets.Rule]:
    return [rule for rule in rules.rules if rule.kind in kinds.BEFORE]


# -- in a study --------------------------------------------------------------------------------------------------------


def in_study(
    study: studies.Study, rules: rulesets.RuleSet, situation: situations.Situation, point: Mapping[str, Any]
) -> Explanation:
    """Judge a point as the study's search would.

    Raises:
        errors.BadInput: the point names what the study does not search, or gives it another kind of value.
    """
    _check_point(study, point)
    notes = []
    sampled: dict[str, Any] = {}
    for name, domain in study.space.items():
        if not rules.is_active(name, {**study.fixed, **sampled}):
            if name in point:
                notes.append(f"{name} is not set at this point ({domain.when}), so it is left out")
        elif name in point:
            sampled[name] = point[name]
            if not domain.contains(point[name]):
                notes.append(f"{name} {point[name]} is outside of {spaces.describe(domain)}: no trial will have it")
    active = [name for name in study.space if rules.is_active(name, {**study.fixed, **sampled})]
    missing = _missing([name for name in active if name not in sampled], "a search gives every one a value")
    whole = studies.complete(study, sampled)
    verdict = judgement.Admission(study, rules, situation).judge(sampled)
    found = explain.sentences(rules, sampled, situation.facts(whole))
    problems = study.declared.contradicted(situation.counter.beside(whole))
    if problems:
        found = [*(each for each in found if not each.startswith("accepted")), *map(_untrainable, problems)]
    return _explained(verdict, found, (*notes, *missing))


def _untrainable(problem: str) -> str:
    return f"refused by the trainer: it cannot train this: {problem}"


def _check_point(study: studies.Study, point: Mapping[str, Any]) -> None:
    problems = []
    for name, value in point.items():
        if name in study.space:
            needed, given = study.space[name].value_kind, scopes.kind_of_value(value)
            if needed != given:
                words = {"number": "a number", "text": "text", "truth": "true or false"}
                problems.append(f"'{name}' must be {words[needed]}, not {points.shown(value)}")
        elif name not in study.fixed:
            hint = documents.did_you_mean(name, [*study.space, *study.fixed])
            problems.append(f"'{name}' is no parameter of the study; {hint}")
        elif study.fixed[name] != value:
            problems.append(f"'{name}' is {points.shown(study.fixed[name])} in every trial of this study; leave it out")
    if problems:
        raise points.bad(problems)


def _missing(names: Sequence[str], what: str) -> tuple[str, ...]:
    return (f"not given ({what}): {', '.join(names)}",) if names else ()


def _explained(verdict: verdicts.Verdict, sentences: Sequence[str], notes: Sequence[str]) -> Explanation:
    return Explanation(
        verdict.verdict, verdict.refused_by, verdict.weight, verdict.violations, tuple(sentences), tuple(notes)
    )
