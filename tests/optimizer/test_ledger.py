"""What refusals and early stops have saved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import ledger


def test_nothing_is_estimated_before_a_trial_has_finished() -> None:
    found = ledger.balance([], [100, 200])
    assert found.refused == 2
    assert found.refused_minutes == 0
    assert "nothing can be estimated" in found.basis


@given(
    fixed=st.floats(0, 100),
    per_step=st.floats(0.001, 10),
    steps=st.lists(st.integers(1, 1000), min_size=3, max_size=20, unique=True),
    refused=st.integers(1, 1000),
)
def test_a_linear_cost_is_recovered_and_charged_to_refused_points(
    fixed: float, per_step: float, steps: list[int], refused: int
) -> None:
    trained = [ledger.Spent(step, step, fixed + per_step * step) for step in steps]
    found = ledger.balance(trained, [refused])
    assert found.refused_minutes == pytest.approx((fixed + per_step * refused) / 60, rel=1e-3, abs=1e-3)
    assert found.spent_minutes == pytest.approx(sum(trial.seconds for trial in trained) / 60)


def test_an_early_stop_saves_the_steps_it_had_left_and_nothing_fixed() -> None:
    whole = [ledger.Spent(steps, steps, 10 + 0.1 * steps) for steps in (100, 200, 300)]
    found = ledger.balance([*whole, ledger.Spent(50, 300, 12.0)], [])
    assert found.stopped == 1
    assert found.stopped_minutes == pytest.approx(0.1 * 250 / 60)


def test_few_different_lengths_give_the_mean_and_say_so() -> None:
    found = ledger.balance([ledger.Spent(100, 100, 20.0), ledger.Spent(100, 100, 40.0)], [None])
    assert found.refused_minutes == pytest.approx(0.5)
    assert "mean of 2 finished trials" in found.basis
