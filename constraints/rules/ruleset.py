"""Rule files in a study: loaded with every error at once, then ready to judge points, running trials and results."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from constraints.judging import verdict
from constraints.judging.conditions import Conditions
from constraints.judging.judge import UNDECIDED_VIOLATION, Judge, Rule
from constraints.judging.reasons import undecided_reason
from constraints.names import world as worlds
from constraints.names.domain import Domain, Value
from constraints.names.scope import Kind, Scope
from constraints.rules import loading
from constraints.rules.loading import RuleText, Source
from constraints.rules.rulefile import RuleFile
from constraints.text.errors import DocumentError, PointError

__all__ = ["Rule", "RuleSet", "RuleText", "Source", "load", "load_alone"]

HARD = ("refuse", "require")


@dataclass(frozen=True, eq=False)
class RuleSet:
    """Rules that can judge. Build one with `load`; it never changes.

    Attributes:
        name: names of the files, joined with ' + '.
        text: the files' text, as it was written.
        rules: every rule in the order of the files.
        space: the study's searched parameters.
        fixed: its other parameters, which are constants.
        facts: facts that hold for every point of the study.
        absent: parameters that a rule file declares and the study does not have; rules that need them never apply.
    """

    name: str
    text: str
    rules: tuple[Rule, ...]
    files: tuple[RuleFile, ...]
    space: Mapping[str, Domain]
    fixed: Mapping[str, Value]
    facts: Mapping[str, Value]
    absent: tuple[str, ...]
    scope: Scope = field(repr=False)

    def check(self, columns: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> verdict.Verdicts:
        """Judges a table of points before they are tried.

        Args:
            columns: parameter to values of shape (points,): numbers (also truths) or text. A conditional parameter
                that is not set is NaN (numbers) or None (text). Other missing values leave their rules undecided.
            facts: fact to one value for all points, or to values of shape (points,).

        Raises:
            PointError: columns differ in length, or hold values of the wrong kind.
        """
        values = {**self.facts, **(facts or {}), **columns}
        judgement = self._before.check(values, points := _length(columns))
        fired = judgement.broken | judgement.undecided
        hard, soft = len(self._hard), self._soft
        weight = np.ones(points)
        for rule, applies in zip(soft, fired[hard:], strict=True):
            weight *= np.where(applies, rule.weight, 1.0)
        return verdict.Verdicts(
            rule_ids=tuple(rule.id for rule in self._hard),
            refused=fired[:hard],
            undecided=judgement.undecided[:hard],
            soft_ids=tuple(rule.id for rule in soft),
            discouraged=fired[hard:],
            weight=weight,
            _violation=lambda: judgement.violation()[:hard],
        )

    def check_point(self, params: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> verdict.Verdict:
        """Judges one point. A conditional parameter that is not set is left out, or None.

        Raises:
            PointError: a value is of the wrong kind.
        """
        values = {**self.facts, **(facts or {}), **params} if facts or self.facts else params
        before = self._before
        broken = before.quick(values)
        if broken is None:
            return self._careful_verdict(values)
        if broken not in self._outcomes:
            self._outcomes[broken] = self._outcome([at for at, result in enumerate(broken) if result])
        outcome, hard = self._outcomes[broken]
        if not hard:
            return outcome
        violations = {id_: before.violation(at, values) for id_, at in hard}
        return verdict.Verdict("refused", outcome.refused_by, outcome.weight, violations, {}, outcome.discouraged_by)

    def _careful_verdict(self, values: Mapping[str, Any]) -> verdict.Verdict:
        broken, undecided = self._before.judge_point(values)
        outcome, hard = self._outcome(sorted([*broken, *undecided]))
        rules = (*self._hard, *self._soft)
        return outcome._replace(
            violations={
                id_: UNDECIDED_VIOLATION if at in undecided else self._before.violation(at, values) for id_, at in hard
            },
            undecided={rules[at].id: undecided_reason(rules[at], values) for at in undecided},
        )

    def _outcome(self, fired: list[int]) -> tuple[verdict.Verdict, list[tuple[str, int]]]:
        """What follows from the positions of the rules that fire alone, and the hard ones among them."""
        count = len(self._hard)
        hard = [(self._hard[at].id, at) for at in fired if at < count]
        soft = [self._soft[at - count] for at in fired if at >= count]
        return verdict.Verdict(
            verdict="refused" if hard else "discouraged" if soft else "accepted",
            refused_by=tuple(id_ for id_, _ in hard),
            weight=math.prod((rule.weight for rule in soft), start=1.0),
            violations={},
            undecided={},
            discouraged_by=tuple(rule.id for rule in soft),
        ), hard

    @cached_property
    def _outcomes(self) -> dict[tuple[bool, ...], tuple[verdict.Verdict, list[tuple[str, int]]]]:
        """Outcomes by the rules that fire, so that judging a point builds only what its numbers change."""
        return {}

    def watch(self, signals: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """Ids of the `stop` rules that a running trial breaks.

        Args:
            signals: live signals, and the trial's parameters beside them. One that is absent or None has not been
                reported yet, and rules that depend on it do not apply; NaN cannot be decided, and stops.
        """
        broken, undecided = self._stop.judge_point({**self.facts, **(facts or {}), **signals})
        return tuple(self._of_kind("stop")[at].id for at in sorted([*broken, *undecided]))

    def judge(self, metrics: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> dict[str, float]:
        """For each `expect` rule a constraint value in Optuna's convention: at most 0 where the result is usable.

        Args:
            metrics: reported metrics, and the trial's parameters beside them. A metric that is missing or NaN cannot
                be decided, and counts as broken.
        """
        values = {**self.facts, **(facts or {}), **metrics}
        broken, undecided = self._expect.judge_point(values)
        results = {}
        for at, rule in enumerate(self._of_kind("expect")):
            if at in undecided:
                results[rule.id] = UNDECIDED_VIOLATION
            elif at in broken:
                results[rule.id] = self._expect.violation(at, values)
            else:
                margin = self._expect.margin(at, values)
                results[rule.id] = 0.0 if math.isnan(margin) else min(0.0, max(margin, -1e6))
        return results

    def is_active(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether a parameter of the space is set, given the values of those that its condition names."""
        return self._conditions.is_active(name, values)

    @cached_property
    def _conditions(self) -> Conditions:
        return Conditions(self.space, self.fixed)

    def _of_kind(self, *kinds: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.kind in kinds)

    @cached_property
    def _hard(self) -> tuple[Rule, ...]:
        return self._of_kind(*HARD)

    @cached_property
    def _soft(self) -> tuple[Rule, ...]:
        return self._of_kind("discourage")

    @cached_property
    def _before(self) -> Judge:
        """Hard rules, then soft ones."""
        return Judge([*self._hard, *self._soft])

    @cached_property
    def _stop(self) -> Judge:
        return Judge(self._of_kind("stop"))

    @cached_property
    def _expect(self) -> Judge:
        return Judge(self._of_kind("expect"))


def load(
    sources: Sequence[Source],
    space: Mapping[str, Domain],
    fixed: Mapping[str, Value] | None = None,
    facts: Mapping[str, Value] | Collection[str] = (),
    metrics: Collection[str] | None = None,
    signals: Collection[str] = (),
    derived: Mapping[str, str] | None = None,
) -> RuleSet:
    """Loads rule files for a study.

    Args:
        sources: paths, names of shipped rule files ('lora-essentials'), or texts.
        space: the study's searched parameters.
        fixed: the study's other parameters, which are constants.
        facts: facts that hold for every point, by name; or only further names that are known.
        metrics: metrics that the study reports, which `expect` rules may use; None when any name will do.
        signals: live signals that `stop` rules may use beside those of `vocabulary`.
        derived: values that follow from the parameters, by name, as expressions; files may use and replace them.

    Raises:
        DocumentError: with every problem of every file.
    """
    return _load(sources, worlds.World(space, fixed or {}, facts, metrics, signals, derived or {}))


def load_alone(sources: Sequence[Source], kinds: Mapping[str, Kind]) -> RuleSet:
    """Loads rule files where there is no study: what a point does not give is not set, facts too.

    Args:
        kinds: kinds of the names that rules may use; 'unknown' goes with every use.

    Raises:
        DocumentError: with every problem of every file.
    """
    return _load(sources, worlds.World({}, {}, loose=kinds))


def _load(sources: Sequence[Source], world: worlds.World) -> RuleSet:
    files, problems = loading.files_of(sources)
    rules: list[Rule] = []
    absent: list[str] = []
    for file in files:
        scope, found = loading.scope_of(file, world)
        problems += found
        rules += loading.rules_of(file, scope, problems)
        absent += [name for name in file.parameters if scope.symbols[name].role == "absent" and name not in absent]
    problems += loading.repeated_ids(files)
    if problems:
        raise DocumentError(tuple(problems))
    return RuleSet(
        name=" + ".join(file.name for file in files),
        text="\n".join(file.document.text for file in files),
        rules=tuple(rules),
        files=tuple(files),
        space=world.space,
        fixed=world.fixed,
        facts=dict(world.facts) if isinstance(world.facts, Mapping) else {},
        absent=tuple(absent),
        scope=worlds.study_scope(world),
    )


def _length(columns: Mapping[str, Any]) -> int:
    lengths = {len(column) for column in columns.values() if isinstance(column, np.ndarray) and column.ndim}
    lengths |= {len(column) for column in columns.values() if isinstance(column, list | tuple)}
    if len(lengths) > 1:
        raise PointError(f"columns differ in length: {', '.join(map(str, sorted(lengths)))}")
    return lengths.pop() if lengths else 1
