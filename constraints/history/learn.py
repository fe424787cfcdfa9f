"""Rules learned from failures, for a person to read, edit and decide about; never applied by themselves.

Shallow trees of a random forest (scikit-learn; Breiman 2001) propose short conjunctions, as SkopeRules does; each is
written in the rule language and then judged by the rule engine on the same trials, so what is reported is what the rule
would do. A conjunction is kept only if so many failures among the trials it covers would be a surprise by chance:
Fisher's exact test (hypergeometric tail), with Bonferroni's correction for every conjunction that was looked at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from constraints.history.replay import FinishedTrial
from constraints.judging.judge import Clause, Judge
from constraints.names import typecheck
from constraints.names import world as worlds
from constraints.names.domain import Domain, Value
from constraints.names.scope import Scope
from constraints.names.world import World
from constraints.rules.rulefile import MAXIMUM_NAME_LENGTH
from constraints.text import expression, parsing
from constraints.text.errors import ExpressionError
from constraints.text.expression import Comparison, Name, Text

#: a rule needs at least this many failures behind it
LEAST_FAILURES = 5
#: chance of suggesting any rule at all when failures have nothing to do with the parameters
SIGNIFICANCE = 0.05
MOST_CONDITIONS = 3
_TREES = 200


@dataclass(frozen=True)
class Suggestion:
    """One learned rule and what speaks for it.

    Attributes:
        condition: the conjunction, in the rule language.
        covered_failures: failed trials that it refuses; `covered` counts all trials that it refuses.
        interval: 95 % confidence interval (Clopper and Pearson 1934) of the share of failures where it applies.
        recall: share of all failures that it refuses.
        chance: corrected probability of so many failures if they had nothing to do with the condition.
    """

    condition: str
    covered: int
    covered_failures: int
    precision: float
    interval: tuple[float, float]
    recall: float
    chance: float


@dataclass(frozen=True)
class Suggestions:
    """Learned rules, the best first, and why there are no more."""

    trials: int
    failures: int
    rules: tuple[Suggestion, ...]
    remark: str

    def as_rule_file(self, name: str) -> str:
        """A rule file to edit: one `refuse` a suggestion, with its evidence as `because`.

        Args:
            name: of the rule set; characters that such a name cannot hold become '-'.
        """
        head = f"# Learned from {self.trials} trials, {self.failures} of which failed. Read, edit, then use.\n"
        plain = "".join(letter if letter.isprintable() and letter != "@" else "-" for letter in name)
        quoted_name = json.dumps(plain[:MAXIMUM_NAME_LENGTH], ensure_ascii=False)
        lines = [f"{head}rules_version: 1", f"name: {quoted_name}", "rules:" if self.rules else "rules: []"]
        for number, rule in enumerate(self.rules, start=1):
            quoted = rule.condition.replace("'", "''")
            low, high = rule.interval
            lines += [
                f"  - id: learned-{number}",
                f"    refuse: '{quoted}'",
                "    because: >-",
                f"      {rule.covered_failures} of {rule.covered} such trials failed ({rule.precision:.0%},",
                f"      95 % interval {low:.0%} to {high:.0%}); that is {rule.recall:.0%} of all failures.",
            ]
        return "\n".join(lines) + "\n"


def suggest(
    trials: Sequence[FinishedTrial], space: Mapping[str, Domain], *, most_rules: int = 5, seed: int = 0
) -> Suggestions:
    """Learns rules from finished trials.

    Args:
        trials: finished trials; `failed` is what is to be foreseen.
        space: the study's parameters; only these are used.
        most_rules: at most so many suggestions.
    """
    failed = np.array([trial.failed for trial in trials], dtype=bool)
    failures = int(failed.sum())
    if failures < LEAST_FAILURES or failures == len(trials):
        needed = f"a rule needs at least {LEAST_FAILURES} failures and some successes"
        remark = f"{failures} of {len(trials)} trials failed; {needed}"
        return Suggestions(len(trials), failures, (), remark)
    conditions = _candidates(trials, space, failed, seed)
    covered = {condition: mask for condition, mask in _covered(conditions, trials, space).items() if mask.any()}
    kept = {c: s for c, mask in covered.items() if (s := _evidence(c, mask, failed, len(covered))) is not None}
    chosen = _choose(kept, covered, failed, most_rules)
    remark = "" if chosen else "no short condition foretells failure better than chance would"
    return Suggestions(len(trials), failures, tuple(chosen), remark)


# -- candidates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Feature:
    """A column that trees may split: a number, or whether a parameter has one of its choices."""

    name: str
    choice: Value | None
    values: npt.NDArray[np.float64]


def _candidates(
    trials: Sequence[FinishedTrial], space: Mapping[str, Domain], failed: npt.NDArray[np.bool_], seed: int
) -> list[str]:
    """Conjunctions along the branches of many shallow trees, as texts, each once."""
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - takes a second, and only learning needs it

    features = _features(trials, space)
    if not features:
        return []
    table = np.column_stack([feature.values for feature in features])
    forest = RandomForestClassifier(
        n_estimators=_TREES, max_depth=MOST_CONDITIONS, min_samples_leaf=3, class_weight="balanced", random_state=seed
    )
    forest.fit(table, failed)
    found: dict[str, None] = {}
    for estimator in forest.estimators_:
        for branch in _branches(estimator.tree_):
            found.setdefault(_conjunction(branch, features, space))
    scope = worlds.study_scope(World(space, {}))
    return [condition for condition in found if _is_written(condition, scope)]


def _features(trials: Sequence[FinishedTrial], space: Mapping[str, Domain]) -> list[_Feature]:
    features = []
    for name, domain in space.items():
        column = [trial.params.get(name) for trial in trials]
        if domain.value_kind == "number":
            features.append(_Feature(name, None, np.array([np.nan if v is None else float(v) for v in column])))
        else:
            features += [_Feature(name, c, np.array([float(v == c) for v in column])) for c in domain.choices]
    return features


#: feature, threshold, and whether the branch goes above it
_Split = tuple[int, float, bool]


def _branches(tree: Any) -> list[tuple[_Split, ...]]:
    """The way from the root to every other node of a scikit-learn tree."""
    found: list[tuple[_Split, ...]] = []
    waiting: list[tuple[int, tuple[_Split, ...]]] = [(0, ())]
    while waiting:
        node, way = waiting.pop()
        if way:
            found.append(way)
        if tree.children_left[node] != tree.children_right[node]:
            split = (int(tree.feature[node]), float(tree.threshold[node]))
            waiting.append((int(tree.children_left[node]), (*way, (*split, False))))
            waiting.append((int(tree.children_right[node]), (*way, (*split, True))))
    return found


def _conjunction(branch: Sequence[_Split], features: Sequence[_Feature], space: Mapping[str, Domain]) -> str:
    """A branch in the rule language; of several bounds on one side of a parameter the tightest counts."""
    tightest: dict[tuple[int, bool], float] = {}
    for feature, threshold, above in branch:
        known = tightest.get((feature, above))
        better = threshold if known is None else (max if above else min)(known, threshold)
        tightest[feature, above] = better
    parts = [_condition(features[f], threshold, above, space) for (f, above), threshold in sorted(tightest.items())]
    return " and ".join(parts)


def _condition(feature: _Feature, threshold: float, above: bool, space: Mapping[str, Domain]) -> str:
    domain = space[feature.name]
    if isinstance(feature.choice, bool):
        return feature.name if feature.choice is above else f"not {feature.name}"
    if feature.choice is not None:
        chosen = Comparison("==" if above else "!=", Name(feature.name), Text(str(feature.choice)))
        return expression.to_text(chosen)
    if math.isfinite(domain.points()) and domain.points() <= 10_000:
        numbers = sorted(float(value) for value in domain.grid() if not isinstance(value, str))
        side = [n for n in numbers if n > threshold] if above else [n for n in numbers if n <= threshold]
        if side:
            return f"{feature.name} {'>=' if above else '<='} {(min if above else max)(side):.12g}"
    below = feature.values[feature.values <= threshold]
    beyond = feature.values[feature.values > threshold]
    if not (below.size and beyond.size):
        return f"{feature.name} {'>' if above else '<='} {threshold:.6g}"
    return f"{feature.name} {'>' if above else '<='} {_roundest(float(below.max()), float(beyond.min()))}"


def _roundest(low: float, high: float) -> str:
    """The number with the fewest digits that is at least `low` and below `high`."""
    for digits in range(1, 17):
        text = f"{(low + high) / 2:.{digits}g}"
        if low <= float(text) < high:
            return text
    return repr(low)


# -- evidence ----------------------------------------------------------------------------------------------------------


def _covered(
    conditions: Sequence[str], trials: Sequence[FinishedTrial], space: Mapping[str, Domain]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which trials each condition refuses, as the rule engine judges: condition to shape (trials,)."""
    scope = worlds.study_scope(World(space, {}))
    judge = Judge([Clause(parsing.parse(condition), scope) for condition in conditions])
    columns = {
        name: np.array([trial.params.get(name) for trial in trials], dtype=object if d.value_kind == "text" else float)
        for name, d in space.items()
    }
    judged = judge.check(columns, len(trials))
    return dict(zip(conditions, judged.broken | judged.undecided, strict=True))


def _is_written(condition: str, scope: Scope) -> bool:
    """Whether the rule language can say a condition: a text with both kinds of quotes is no text of it."""
    try:
        return not typecheck.check(parsing.parse(condition), scope)
    except ExpressionError:
        return False


def _evidence(
    condition: str, covered: npt.NDArray[np.bool_], failed: npt.NDArray[np.bool_], looked_at: int
) -> Suggestion | None:
    """What the trials say for a condition, or None if it might be chance."""
    from scipy import stats  # noqa: PLC0415 - takes half a second, and only learning needs it

    total, hits = int(covered.sum()), int((covered & failed).sum())
    if hits < LEAST_FAILURES:
        return None
    chance = float(stats.hypergeom.sf(hits - 1, failed.size, int(failed.sum()), total)) * looked_at
    if chance > SIGNIFICANCE:
        return None
    interval = stats.binomtest(hits, total).proportion_ci(0.95, method="exact")
    return Suggestion(
        condition=condition,
        covered=total,
        covered_failures=hits,
        precision=hits / total,
        interval=(float(interval.low), float(interval.high)),
        recall=hits / int(failed.sum()),
        chance=chance,
    )


def _choose(
    kept: Mapping[str, Suggestion],
    covered: Mapping[str, npt.NDArray[np.bool_]],
    failed: npt.NDArray[np.bool_],
    most_rules: int,
) -> list[Suggestion]:
    """The surest first, short before long, each refusing enough failures that those before it do not."""
    chosen: list[Suggestion] = []
    left = failed.copy()

    def rank(suggestion: Suggestion) -> tuple[float, float, int]:
        return round(suggestion.interval[0], 2), suggestion.recall, -suggestion.condition.count(" and ")

    for suggestion in sorted(kept.values(), key=rank, reverse=True):
        mask = covered[suggestion.condition]
        if len(chosen) < most_rules and int((mask & left).sum()) >= LEAST_FAILURES:
            chosen.append(suggestion)
            left &= ~mask
    return chosen
