"""Points that were trained several times: mean, spread, and a best that luck does not decide."""

from typing import Any

import pytest

from optimizer.report import summary
from optimizer.results import records, repeats

DIRECTIONS = {"clip_score": "maximize"}


def record(number: int, point: int, value: float, **changes: Any) -> records.TrialRecord:
    known: dict[str, Any] = {
        "number": number,
        "state": "usable",
        "params": {"network_dim": point},
        "values": {"clip_score": value},
        "refused_by": (),
        "seconds": 1.0,
        "failure": None,
        "phases": {},
        "metrics": {},
        "images": (),
        "constraints": {},
        "lora": None,
        "steps": 1,
        "attempts": (),
        "rule_version": "",
        "repeat": number,  # each from a seed of its own
    }
    return records.TrialRecord(**{**known, **changes})


def test_without_repeats_the_best_value_wins() -> None:
    found = [record(0, 4, 0.3), record(1, 8, 0.5), record(2, 16, 0.4)]
    assert [each.number for each in repeats.best(found, DIRECTIONS)] == [1]


def test_a_lucky_training_does_not_beat_a_point_that_is_good_on_average() -> None:
    steady = [record(0, 4, 0.50), record(1, 4, 0.54), record(2, 4, 0.52)]
    wild = [record(3, 8, 0.55), record(4, 8, 0.35), record(5, 8, 0.30)]
    assert [each.number for each in repeats.best([*wild, *steady], DIRECTIONS)] == [1, 2, 0]


def test_a_point_trained_once_must_be_better_by_more() -> None:
    repeated = [record(0, 4, 0.50), record(1, 4, 0.60), record(2, 4, 0.55)]
    assert repeats.best([*repeated, record(3, 8, 0.56)], DIRECTIONS)[0].number == 1
    assert repeats.best([*repeated, record(3, 8, 0.70)], DIRECTIONS)[0].number == 3


def test_mean_and_spread_are_those_of_the_usable_trials() -> None:
    found = [record(0, 4, 0.5), record(1, 4, 0.7), record(2, 4, 0.1, state="unusable")]
    (group,) = repeats.points(found)
    found_again = repeats.summary(group, ["clip_score"])
    assert found_again.trials == (0, 1)
    assert found_again.mean["clip_score"] == pytest.approx(0.6)
    assert found_again.spread["clip_score"] == pytest.approx(0.1414, abs=1e-4)
    assert "mean of 2 trainings (trials 0, 1): clip_score 0.6 ± 0.14" in summary.repeated(found_again)


def test_two_trainings_from_one_seed_are_one_result() -> None:
    found = [record(0, 4, 0.5, repeat=0), record(1, 4, 0.5, repeat=0), record(2, 4, 0.7, repeat=1)]
    assert [[each.number for each in group] for group in repeats.points(found)] == [[0, 2]]


def test_a_result_that_was_taken_over_is_not_a_second_training() -> None:
    found = [record(0, 4, 0.5), record(1, 4, 0.5, taken_over=True)]
    assert [len(group) for group in repeats.points(found)] == [1]


def test_nothing_usable_has_no_best() -> None:
    assert repeats.best([record(0, 4, 0.5, state="unusable")], DIRECTIONS) == []
    assert repeats.best_trial([], DIRECTIONS) is None
