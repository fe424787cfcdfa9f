"""What a trainer told becomes what Optuna is told."""

from collections.abc import Mapping
from typing import Any

import pytest

from constraints.rules import loading
from constraints.rules import ruleset as rulesets
from optimizer import attributes
from optimizer.trials import conclusion as conclusions
from trainers.contract import events

RULES = """\
rules_version: 1
name: usable
rules:
  - id: usable
    expect: failure_rate <= 0.1
    because: A LoRA that fails on more than one image in ten is not usable.
"""
OBJECTIVES = {"clip_score": "maximize", "failure_rate": "minimize"}


@pytest.fixture(scope="module")
def rules() -> rulesets.RuleSet:
    return rulesets.load([loading.RuleText(text=RULES, name="usable")], {})


def told(*names: str, **data: Mapping[str, Any]) -> list[events.Event]:
    """Events in order, with the data that a test cares for (its name with `_` for `-`)."""
    return [events.Event(float(at), 0, name, data.get(name.replace("-", "_"), {})) for at, name in enumerate(names)]


def finished(exit_code: int = 0, **metrics: Any) -> list[events.Event]:
    return told(
        "trained",
        "saved",
        "scored",
        "trial-finished",
        "job-finished",
        trained={"steps": 40, "seconds": 2.0},
        saved={"path": "/x/lora.safetensors", "sha256": "00"},
        scored={"metrics": metrics, "images": [], "seconds": 0.1},
        trial_finished={"outcome": "finished", "seconds": {"train": 2.0}},
        job_finished={"exit_code": exit_code},
    )


def test_a_usable_trial_has_its_values_in_the_objectives_order(rules: rulesets.RuleSet) -> None:
    found = conclusions.conclude(finished(failure_rate=0.0, clip_score=0.3), rules, OBJECTIVES, {})
    assert found.ending is conclusions.Ending.USABLE
    assert found.values == (0.3, 0.0)
    assert found.constraints["usable"] <= 0
    assert found.constraints[attributes.TRAINING] == 0
    assert found.lora == "/x/lora.safetensors"


def test_a_broken_expect_rule_makes_it_unusable_and_says_by_how_much(rules: rulesets.RuleSet) -> None:
    slightly = conclusions.conclude(finished(failure_rate=0.2, clip_score=0.3), rules, OBJECTIVES, {})
    badly = conclusions.conclude(finished(failure_rate=0.9, clip_score=0.3), rules, OBJECTIVES, {})
    assert slightly.ending is badly.ending is conclusions.Ending.UNUSABLE
    assert slightly.values is None
    assert 0 < slightly.constraints["usable"] < badly.constraints["usable"]
    assert slightly.metrics["clip_score"] == 0.3


def test_a_missing_or_non_finite_objective_makes_it_unusable(rules: rulesets.RuleSet) -> None:
    found = conclusions.conclude(finished(failure_rate=1.0, clip_score=None), rules, OBJECTIVES, {})
    assert found.ending is conclusions.Ending.UNUSABLE
    assert found.failure is not None
    assert found.failure.kind == "no-score"
    assert "clip_score is None" in found.failure.message


def test_an_objective_that_was_never_told_is_named_beside_what_was(rules: rulesets.RuleSet) -> None:
    found = conclusions.conclude(finished(failure_rate=0.0, clip_score=0.3), rules, {"clip_scor": "maximize"}, {})
    assert found.failure is not None
    assert "clip_scor was not told" in found.failure.message
    assert "clip_score, failure_rate" in found.failure.message


def test_a_rule_named_like_our_own_constraint_hides_nothing() -> None:
    text = RULES.replace("id: usable", "id: training")
    own = rulesets.load([loading.RuleText(text=text, name="usable")], {})
    told_ = finished(failure_rate=0.0, clip_score=0.3)
    told_.insert(3, events.Event(2.5, 0, "failed", {"kind": "collapse", "step": None, "message": "all alike"}))
    found = conclusions.conclude(told_, own, OBJECTIVES, {})
    assert found.constraints["training"] <= 0
    assert found.ending is conclusions.Ending.UNUSABLE


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        pytest.param("black-images", conclusions.Ending.USABLE, id="one image in twenty; the rules allow one in ten"),
        pytest.param("below-base", conclusions.Ending.UNUSABLE, id="all images are worse than without any training"),
        pytest.param("collapse", conclusions.Ending.UNUSABLE, id="every prompt gives the same image"),
    ],
)
def test_a_failure_of_single_images_is_for_the_rules_and_one_of_the_whole_trial_is_not(
    rules: rulesets.RuleSet, kind: str, ending: conclusions.Ending
) -> None:
    story = told("failed", failed={"kind": kind, "step": None, "message": "seen in the images"})
    found = conclusions.conclude([*story, *finished(failure_rate=0.05, clip_score=0.1)], rules, OBJECTIVES, {})
    assert found.ending is ending
    assert found.failure is not None
    assert found.failure.kind == kind


@pytest.mark.parametrize("later", ["flat-images", "off-prompt"])
def test_a_failure_of_single_images_never_hides_one_of_the_whole_trial(rules: rulesets.RuleSet, later: str) -> None:
    below = told("failed", failed={"kind": "below-base", "step": None, "message": "the CLIP score fell"})
    single = told("failed", failed={"kind": later, "step": None, "message": "one picture"})
    for story in ([*below, *single], [*single, *below]):
        found = conclusions.conclude([*story, *finished(failure_rate=0.05, clip_score=0.1)], rules, OBJECTIVES, {})
        assert found.ending is conclusions.Ending.UNUSABLE
        assert found.failure is not None
        assert found.failure.kind == "below-base"


def test_a_failure_in_training_teaches_the_search(rules: rulesets.RuleSet) -> None:
    story = told(
        "failed",
        "trial-finished",
        "job-finished",
        failed={"kind": "nonfinite-loss", "step": 31, "message": "the loss became NaN"},
        trial_finished={"outcome": "failed", "seconds": {"train": 1.0}},
        job_finished={"exit_code": 0},
    )
    found = conclusions.conclude(story, rules, OBJECTIVES, {})
    assert found.ending is conclusions.Ending.UNUSABLE
    assert found.constraints == {attributes.TRAINING: 1.0}
    assert found.failure == conclusions.Failure("nonfinite-loss", 31, "the loss became NaN")
    assert found.steps == 31


def stopped(rule: str) -> list[events.Event]:
    return told(
        "train-started",
        "step",
        "evaluated",
        "stopped",
        "trial-finished",
        "job-finished",
        train_started={"total_steps": 160},
        step={"step": 20},
        evaluated={"step": 16, "milestone": 64, "metrics": {"clip_score": 0.4}},
        stopped={"rule": rule, "step": 30},
        trial_finished={"outcome": "stopped", "seconds": {"train": 1.0}},
        job_finished={"exit_code": 0},
    )


def test_a_trial_that_a_pruner_ended_is_not_held_against_its_parameters(rules: rulesets.RuleSet) -> None:
    found = conclusions.conclude(stopped("pruner:asha"), rules, OBJECTIVES, {})
    assert found.ending is conclusions.Ending.STOPPED_EARLY
    assert found.constraints == {attributes.TRAINING: 0.0}
    assert found.failure is None
    assert found.values is None
    assert (found.stopped_by, found.steps, found.total_steps) == ("pruner:asha", 30, 160)


def test_a_trial_that_a_stop_rule_ended_is_unusable(rules: rulesets.RuleSet) -> None:
    found = conclusions.conclude(stopped("below-base"), rules, OBJECTIVES, {})
    assert found.ending is conclusions.Ending.UNUSABLE
    assert found.constraints == {attributes.TRAINING: 1.0}
    assert found.failure is not None
    assert found.failure.kind == "stopped-by-rule"
    assert found.stopped_by is None


@pytest.mark.parametrize(
    ("story", "ending"),
    [
        pytest.param([], conclusions.Ending.INTERRUPTED, id="it died while it was starting"),
        pytest.param(told("loaded"), conclusions.Ending.INTERRUPTED, id="... while it was loading"),
        pytest.param(
            told("job-finished", job_finished={"exit_code": 1}), conclusions.Ending.INTERRUPTED, id="... badly"
        ),
        pytest.param(
            finished(failure_rate=0.0, clip_score=0.3), conclusions.Ending.USABLE, id="it had just come to its end"
        ),
        pytest.param(told("job-finished", job_finished={"exit_code": 74}), conclusions.Ending.REJECTED, id="disk full"),
    ],
)
def test_a_trainer_that_was_asked_to_stop_has_not_crashed(
    rules: rulesets.RuleSet, story: list[events.Event], ending: conclusions.Ending
) -> None:
    assert conclusions.conclude(story, rules, OBJECTIVES, {}, asked_to_stop=True).ending is ending


@pytest.mark.parametrize(
    ("story", "ending"),
    [
        pytest.param([], conclusions.Ending.CRASHED, id="the process died without a word"),
        pytest.param(told("job-finished", job_finished={"exit_code": 1}), conclusions.Ending.CRASHED, id="a bug"),
        pytest.param(told("job-finished", job_finished={"exit_code": 2}), conclusions.Ending.REJECTED, id="bad input"),
        pytest.param(told("job-finished", job_finished={"exit_code": 74}), conclusions.Ending.REJECTED, id="disk full"),
        pytest.param(
            told("job-finished", job_finished={"exit_code": 75}), conclusions.Ending.INTERRUPTED, id="asked to stop"
        ),
        pytest.param(
            told("trial-finished", trial_finished={"outcome": "interrupted", "seconds": {}}),
            conclusions.Ending.INTERRUPTED,
            id="interrupted, then gone",
        ),
    ],
)
def test_what_the_machine_did_is_not_held_against_the_parameters(
    rules: rulesets.RuleSet, story: list[events.Event], ending: conclusions.Ending
) -> None:
    found = conclusions.conclude(story, rules, OBJECTIVES, {})
    assert found.ending is ending
    assert found.values is None
    assert not found.constraints
