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
from constraints.judging.judge import MOST_VIOLATION, Judge, Rule
from constraints.judging.kinds import HARD, with_effect
from constraints.judging.reasons import undecided_reason
from constraints.names import world as worlds
from constraints.names.domain import Domain, Value
from constraints.names.scope import ExpressionKind, Scope
from constraints.rules import loading
from constraints.rules.loading import RuleSource, RuleText
from constraints.rules.rulefile import RuleFile
from constraints.text.errors import DocumentError, PointError

__all__ = ["Rule", "RuleSet", "RuleSource", "RuleText", "load", "load_alone"]


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
        columns, points = _columns(columns)
        judgement = self._before.check({**self.facts, **(facts or {}), **columns}, points)
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
        values = {**self.facts, **(facts or {}), **params}
        judgement = self._before.check(values)
        broken, undecided = judgement.at_point
        rules = (*self._hard, *self._soft)
        fired = sorted([*broken, *undecided])
        hard = [at for at in fired if at < len(self._hard)]
        soft = [rules[at] for at in fired[len(hard) :]]
        violation = judgement.violation() if hard else ()
        return verdict.Verdict(
            verdict="refused" if hard else "discouraged" if soft else "accepted",
            refused_by=tuple(rules[at].id for at in hard),
            weight=math.prod((rule.weight for rule in soft), start=1.0),
            violations={rules[at].id: float(violation[at][0]) for at in hard},
            undecided={rules[at].id: undecided_reason(rules[at], values) for at in undecided},
            discouraged_by=tuple(rule.id for rule in soft),
        )

    def margins(self, params: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> dict[str, float]:
        """How far outside (above 0) or inside (below 0) of each hard or soft rule a point is, where it has a distance.

        Raises:
            PointError: a value is of the wrong kind.
        """
        found = self._before.margins({**self.facts, **(facts or {}), **params})
        rules = (*self._hard, *self._soft)
        return {rule.id: margin for rule, margin in zip(rules, found, strict=True) if math.isfinite(margin)}

    def watch(self, signals: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """Ids of the `stop` rules that a running trial breaks.

        Args:
            signals: live signals, and the trial's parameters beside them. One that is absent or None has not been
                reported yet, and rules that depend on it do not apply; NaN cannot be decided, and stops.
        """
        broken, undecided = self._stop.check({**self.facts, **(facts or {}), **signals}).at_point
        return tuple(self._stopping[at].id for at in sorted([*broken, *undecided]))

    def judge(self, metrics: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> dict[str, float]:
        """For each `expect` rule a constraint value in Optuna's convention: at most 0 where the result is usable.

        Args:
            metrics: reported metrics, and the trial's parameters beside them. A metric that is missing or NaN cannot
                be decided, and counts as broken.
        """
        values = {**self.facts, **(facts or {}), **metrics}
        judgement = self._expect.check(values)
        unusable = judgement.violation()[:, 0].tolist()
        return {
            rule.id: unusable[at] or _spare(self._expect.at_point("margin", at, values))
            for at, rule in enumerate(self._expected)
        }

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Names of what the rules are judged by: parameters, facts, signals and metrics, also behind other names."""
        return frozenset(name for rule in self.rules for name in rule.scope.inputs(rule.broken))

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
        return self._of_kind(*with_effect("discouraged"))

    @cached_property
    def _stopping(self) -> tuple[Rule, ...]:
        return self._of_kind(*with_effect("stopped"))

    @cached_property
    def _expected(self) -> tuple[Rule, ...]:
        return self._of_kind(*with_effect("unusable"))

    @cached_property
    def _before(self) -> Judge:
        """Hard rules, then soft ones."""
        return Judge([*self._hard, *self._soft])

    @cached_property
    def _stop(self) -> Judge:
        return Judge(self._stopping)

    @cached_property
    def _expect(self) -> Judge:
        return Judge(self._expected)


def load(
    sources: Sequence[RuleSource],
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


def load_alone(sources: Sequence[RuleSource], kinds: Mapping[str, ExpressionKind]) -> RuleSet:
    """Loads rule files where there is no study: what a point does not give is not set, facts too.

    Args:
        kinds: kinds of the names that rules may use; 'unknown' goes with every use.

    Raises:
        DocumentError: with every problem of every file.
    """
    return _load(sources, worlds.World({}, {}, loose=kinds))


def _load(sources: Sequence[RuleSource], world: worlds.World) -> RuleSet:
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


def _spare(margin: float) -> float:
    """The constraint value of a rule that is kept, from its margin; 0 where it has none."""
    return 0.0 if math.isnan(margin) else min(0.0, max(margin, -MOST_VIOLATION))


def _columns(columns: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Columns as arrays, plain values as they are, and how many points there are."""
    arrays = {name: _array(name, each) if isinstance(each, list | tuple) else each for name, each in columns.items()}
    lengths = {len(column) for column in arrays.values() if isinstance(column, np.ndarray) and column.ndim}
    if len(lengths) > 1:
        raise PointError(f"columns differ in length: {', '.join(map(str, sorted(lengths)))}")
    return arrays, lengths.pop() if lengths else 1


def _array(name: str, column: Sequence[Any]) -> Any:
    try:
        return np.asarray(column)
    except ValueError as error:
        raise PointError(f"column '{name}' must hold plain values") from error
