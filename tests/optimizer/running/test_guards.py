"""Stop rules on what a trainer tells while it works."""

from typing import Any

import pytest

from constraints.rules import loading
from constraints.rules import ruleset as rulesets
from optimizer.running import guards
from trainers.contract import events

WATCHED = ("step", "loss", "clip_score_gain", "failure_rate")

RULES = """\
rules_version: 1
name: stops
rules:
  - id: diverging
    stop: loss > 0.5
    because: A test.
  - id: below-base
    stop: clip_score_gain < -0.1
    because: A test.
  - id: worse-and-broken
    stop: failure_rate > 0.5 and step > 30
    because: A test of signals that come from two kinds of event.
"""


@pytest.fixture(scope="module")
def rules() -> rulesets.RuleSet:
    return rulesets.load([loading.RuleText(text=RULES, name="stops")], {}, signals=WATCHED)


def step(number: int, **signals: Any) -> events.Event:
    return events.Event(0.0, 0, "step", {"step": number, **signals})


def evaluated(number: int, **metrics: Any) -> events.Event:
    return events.Event(0.0, 0, "evaluated", {"step": number, "milestone": 8, "samples": 8, "metrics": metrics})


def test_an_evaluation_point_is_judged_as_a_step_is(rules: rulesets.RuleSet) -> None:
    guard = guards.Guard({}, WATCHED)
    assert guard.broken(rules, step(10, loss=0.2)) is None
    assert guard.broken(rules, evaluated(16, clip_score_gain=0.05, failure_rate=0.0)) is None
    assert guard.broken(rules, evaluated(32, clip_score_gain=-0.2, failure_rate=0.0)) == "below-base"


def test_signals_of_both_are_known_together(rules: rulesets.RuleSet) -> None:
    guard = guards.Guard({}, WATCHED)
    assert guard.broken(rules, evaluated(8, failure_rate=1.0)) is None
    assert guard.broken(rules, step(30, loss=0.2)) is None
    assert guard.broken(rules, step(40, loss=0.2)) == "worse-and-broken"


def test_the_latest_value_counts_and_one_that_was_not_told_changes_nothing(rules: rulesets.RuleSet) -> None:
    guard = guards.Guard({}, WATCHED)
    assert guard.broken(rules, evaluated(32, failure_rate=1.0)) == "worse-and-broken"
    assert guard.broken(rules, evaluated(40, failure_rate=None)) == "worse-and-broken"
    assert guard.broken(rules, evaluated(48, failure_rate=0.0)) is None


def test_other_events_and_unknown_metrics_are_not_judged(rules: rulesets.RuleSet) -> None:
    guard = guards.Guard({}, WATCHED)
    assert guard.broken(rules, events.Event(0.0, 0, "scored", {"metrics": {"clip_score_gain": -1.0}})) is None
    assert guard.broken(rules, evaluated(8, colour_error=3.0)) is None
