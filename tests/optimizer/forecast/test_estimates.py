"""Estimates that finished trials correct."""

import math
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import remembered
from optimizer.forecast import estimates
from optimizer.forecast import situation as situations
from storage import attempts
from tests.optimizer import searching
from trainers.lora import footprint, sections

State = optuna.trial.TrialState
PRIOR = footprint.of("demo", sections.Evaluation(prompts=("a", "b")))
FRESH = estimates.Estimator(PRIOR, on_gpu=True)


def took(
    params: dict[str, Any],
    steps: int,
    *,
    slower: float,
    other: float | None = 1.0,
    memory: float | None = 1.0,
    whose: estimates.Estimator = FRESH,
) -> estimates.Measured:
    """A trial that took so many times what the prior says."""
    return estimates.Measured(
        params=params,
        steps=steps,
        train_seconds=slower * whose.train_seconds(params, steps),
        other_seconds=None
        if other is None
        else other * (whose.seconds(params, steps) - whose.train_seconds(params, steps)),
        vram_gb=None if memory is None else memory * whose.facts(params, steps)["estimate.vram_gb"],
    )


POINTS = st.fixed_dictionaries({"network_dim": st.integers(1, 64), "train_batch_size": st.integers(1, 8)})
TRIALS = st.tuples(POINTS, st.integers(1, 500))


@pytest.mark.slow
@given(trials=st.lists(TRIALS, min_size=20, max_size=40), slower=st.floats(0.2, 5), memory=st.floats(0.7, 1.4))
def test_trials_that_all_say_the_same_are_believed(
    trials: list[tuple[dict[str, Any], int]], slower: float, memory: float
) -> None:
    measured = [took(params, steps, slower=slower, other=0.5, memory=memory) for params, steps in trials]
    found = FRESH.calibrated(measured)
    assert found.training.factor == pytest.approx(slower, rel=0.01)
    assert found.other.factor == pytest.approx(0.5, rel=0.01)
    assert found.memory.factor == pytest.approx(memory, rel=0.02)
    assert found.quality.seconds_error == pytest.approx(0, abs=0.01)
    assert found.quality.vram_error == pytest.approx(0, abs=0.02)


@given(slower=st.floats(0.1, 10), count=st.integers(1, 50))
def test_more_trials_bring_the_estimate_nearer_to_what_they_say_and_never_beyond(slower: float, count: int) -> None:
    def off(trials: int) -> float:
        measured = [took({}, 100, slower=slower)] * trials
        return math.log(FRESH.calibrated(measured).training.factor) / math.log(slower) if slower != 1 else 1.0

    assert off(count) <= off(count + 1) <= 1 + 1e-9


def test_noise_around_a_truth_averages_out() -> None:
    chance = np.random.default_rng(1)
    noisy = [took({}, 100, slower=3 * float(np.exp(chance.normal(0, 0.3)))) for _ in range(150)]
    found = FRESH.calibrated(noisy)
    assert found.training.factor == pytest.approx(3, rel=0.1)
    error = found.quality.seconds_error
    assert error is not None
    assert 0.05 < error < 0.4


def test_one_trial_that_waited_for_a_busy_machine_moves_little() -> None:
    usual = [took({}, 100, slower=2.0) for _ in range(9)]
    found = FRESH.calibrated([*usual, took({}, 100, slower=40.0)])
    assert found.training.factor == pytest.approx(2.0, rel=0.05)


def test_only_the_latest_trials_count() -> None:
    old = [took({}, 100, slower=9.0)] * estimates.NEWEST
    new = [took({}, 100, slower=2.0)] * estimates.NEWEST
    assert FRESH.calibrated([*old, *new]).training.factor == pytest.approx(2.0, rel=0.01)


def test_a_trial_that_never_drew_tells_of_training_alone() -> None:
    found = FRESH.calibrated([took({}, 100, slower=2.0, other=None, memory=None)])
    assert (found.training.trials, found.other.trials, found.memory.trials) == (1, 0, 0)
    assert found.other.factor == 1.0


def test_the_quality_says_in_words_what_it_rests_on() -> None:
    assert "not calibrated yet" in FRESH.quality.sentence()
    one = FRESH.calibrated([took({}, 100, slower=2.0, memory=None)])
    assert one.quality.sentence() == "calibrated by 1 finished trial, memory not measured"
    many = FRESH.calibrated([took({}, 100, slower=2.0)] * 5)
    assert many.quality.sentence() == "calibrated by 5 finished trials, minutes off by 0% on average, memory off by 0%"


@given(point=POINTS, steps=st.integers(1, 1000), more=st.integers(1, 1000))
def test_more_steps_take_longer_and_no_more_memory(point: dict[str, Any], steps: int, more: int) -> None:
    less_long, longer = FRESH.facts(point, steps), FRESH.facts(point, steps + more)
    assert longer["estimate.minutes"] > less_long["estimate.minutes"]
    assert longer["estimate.vram_gb"] == less_long["estimate.vram_gb"]


def test_a_script_of_ones_own_is_known_by_its_trials_alone() -> None:
    unknown = estimates.Estimator(None, on_gpu=False)
    assert unknown.facts({}, 100) == {}
    measured = [estimates.Measured({}, steps, 2.5 * steps, 30.0) for steps in (10, 100, 400)]
    found = unknown.calibrated(measured).facts({}, 200)
    assert found == {"estimate.minutes": pytest.approx((2.5 * 200 + 30) / 60, rel=0.01)}


def test_without_a_number_of_steps_minutes_are_not_known_and_memory_is() -> None:
    assert set(FRESH.facts({}, None)) == {"estimate.vram_gb"}


def test_trials_are_read_from_their_attempts() -> None:
    study = searching.study({"network_dim": {"choices": [4, 8]}})
    space = {"network_dim": optuna.distributions.CategoricalDistribution([4, 8])}

    def trial(number: int, state: State, **attributes: Any) -> optuna.trial.FrozenTrial:
        values = [0.3] if state is State.COMPLETE else None
        made = optuna.trial.create_trial(
            state=state, values=values, params={"network_dim": 4}, distributions=space, user_attrs=attributes
        )
        made.number = number
        return made

    def attempt(number: int, step: int | None, **seconds: float) -> attempts.AttemptRow:
        nothing: Any = None
        return attempts.AttemptRow(number, 1, "w", "cpu", nothing, nothing, 0, "usable", None, step, seconds, "")

    found = remembered.taken(
        study,
        [
            trial(0, State.COMPLETE, vram_gb=5.5),
            trial(1, State.PRUNED, vram_gb=2.5),
            trial(2, State.PRUNED, refused_by=["a"]),
            trial(3, State.FAIL),
            trial(4, State.PRUNED, stopped_by="pruner:asha", steps=12),
            trial(5, State.PRUNED, clip_score=0.1),
        ],
        [
            attempt(0, 50, launch=1.0, load=2.0, train=10.0, sample=4.0, score=1.0),
            attempt(1, 20, launch=0.0, load=2.0, train=4.0, sample=0.0),
            attempt(3, 20, train=4.0),
            attempt(4, 12, load=2.0, train=3.0, sample=2.0, score=0.5),
            attempt(5, 50, load=2.0, train=9.0, sample=4.0),
        ],
    )
    assert [(each.steps, each.train_seconds, each.other_seconds, each.vram_gb) for each in found] == [
        (50, 10.0, 7.0, 5.5),
        (20, 4.0, None, None),
        (12, 3.0, None, None),
        (50, 9.0, 6.0, None),
    ]


RULE = {"refuse": "estimate.vram_gb > gpu.vram_gb - 1"}


def judged(gpu: situations.Gpu, dim: int) -> Any:
    study = searching.study({"network_dim": {"choices": [1, 1024]}, "max_train_epochs": {"choices": [1, 2]}})
    rules = searching.rules(study, RULE)
    situation = searching.situation(gpu, estimator=FRESH).for_rules(rules)
    point = {"network_dim": dim, "max_train_epochs": 2}
    return rules.check_point(point, situation.facts(point))


def test_a_rule_refuses_what_does_not_fit_from_the_first_trial_on() -> None:
    needs = FRESH.facts({"network_dim": 1024}, 1)["estimate.vram_gb"]
    assert judged(situations.Gpu(1, needs + 1.01), 1024).verdict == "accepted"
    assert judged(situations.Gpu(1, needs + 0.99), 1024).refused_by == ("rule-0",)
    assert judged(situations.Gpu(1, needs + 0.99), 1).verdict == "accepted"


def test_without_a_gpu_the_rule_cannot_be_decided_and_refuses() -> None:
    found = judged(situations.Gpu(0, None), 1)
    assert found.refused_by == ("rule-0",)
    assert "gpu.vram_gb" in found.undecided["rule-0"]


def test_nothing_is_estimated_where_no_rule_asks() -> None:
    situation = searching.situation(estimator=FRESH)
    rules = searching.rules(searching.study({"network_dim": {"choices": [1, 8]}}), {"refuse": "network_dim > 4"})
    assert "estimate.vram_gb" not in situation.for_rules(rules).facts({})
    assert "estimate.vram_gb" in situation.facts({})


@given(points=st.lists(st.tuples(st.sampled_from([1, 16, 1024]), st.integers(1, 9)), min_size=1, max_size=9))
def test_facts_of_a_table_are_those_of_its_points(points: list[tuple[int, int]]) -> None:
    situation = searching.situation(situations.Gpu(1, 24.0), estimator=FRESH)
    dims, epochs = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    table = situation.facts({"network_dim": dims, "max_train_epochs": epochs})
    for at, (dim, epoch) in enumerate(points):
        alone = situation.facts({"network_dim": dim, "max_train_epochs": epoch})
        for name in ("estimate.vram_gb", "estimate.minutes", "total_steps"):
            assert table[name][at] == pytest.approx(alone[name])


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ({"max_train_steps": 77}, 77),
        ({"max_train_samples": 100, "train_batch_size": 8}, 13),
        ({"max_train_epochs": 3, "train_batch_size": 8, "gradient_accumulation_steps": 2}, 6),
    ],
)
def test_steps_are_counted_from_whichever_length_is_given(values: dict[str, int], steps: int) -> None:
    assert searching.situation().facts(values)["total_steps"] == steps
