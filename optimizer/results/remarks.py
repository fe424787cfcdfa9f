"""What a person should look at: one rule that ends, fails or refuses nearly everything.

A rule that was copied from another base may do that, and its work must not be praised as time saved.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from optimizer.results import records

#: trials that one rule must have ended, and their least share of those that trained
_FEWEST_TRIALS = 3
_TRIALS_SHARE = 0.5
#: points that one rule must have refused, and their least share of all that were judged
_FEWEST_POINTS = 20
_POINTS_SHARE = 0.9


@dataclasses.dataclass(frozen=True)
class Remark:
    """One line about one rule."""

    rule: str
    text: str


def of(trials: Sequence[records.TrialRecord], refused_points: int, refusals: Mapping[str, int]) -> list[Remark]:
    """A remark for each such rule.

    Args:
        trials: all of a study.
        refused_points: how many points were refused before training.
        refusals: rule -> how many of them it refused.
    """
    trained = [record for record in trials if record.state in records.TRAINED and not record.taken_over]
    return [*_stops(trained), *_expectations(trained), *_refusals(len(trained), refused_points, refusals)]


def _stops(trained: Sequence[records.TrialRecord]) -> list[Remark]:
    said = []
    for rule, count in Counter(record.stop_rule for record in trained if record.stop_rule).most_common():
        if not _is_most(count, len(trained)):
            continue
        steps = sorted(record.steps for record in trained if record.stop_rule == rule and record.steps is not None)
        where = "" if not steps else f", at step {steps[0]}" + (f" to {steps[-1]}" if steps[-1] > steps[0] else "")
        text = (
            f"the stop rule {rule} ended {count} of {len(trained)} trials{where}: if it does not fit this base, it "
            "saved nothing; see the report's curves of those trials, and its text (`tuneguard rules show`)"
        )
        said.append(Remark(rule, text))
    return said


def _expectations(trained: Sequence[records.TrialRecord]) -> list[Remark]:
    broken = Counter(rule for record in trained for rule in _broken(record))
    return [
        Remark(rule, f"the expect rule {rule} made {count} of {len(trained)} trials unusable: does it fit this base?")
        for rule, count in broken.most_common()
        if _is_most(count, len(trained))
    ]


def _broken(record: records.TrialRecord) -> list[str]:
    """Expect rules that a trial broke; what its training came to is no rule, and no rule's id holds a colon."""
    if record.failure is None or record.failure["kind"] != "expect":
        return []
    return [rule for rule, violation in record.constraints.items() if violation > 0 and ":" not in rule]


def _refusals(trained: int, points: int, refusals: Mapping[str, int]) -> list[Remark]:
    judged = points + trained
    return [
        Remark(
            rule,
            f"the rule {rule} refused {count} of {judged} points that were judged: does it fit this study? "
            "`tuneguard study check` shows what it leaves of the space",
        )
        for rule, count in refusals.items()
        if count >= _FEWEST_POINTS and count >= _POINTS_SHARE * judged
    ]


def _is_most(count: int, trained: int) -> bool:
    return count >= _FEWEST_TRIALS and count >= _TRIALS_SHARE * trained
