"""What refusals and early stops have saved."""

import math

import pytest

from optimizer.results import ledger


def test_nothing_is_saved_by_points_of_which_nothing_is_known() -> None:
    found = ledger.balance([], 2, [], "nothing can be estimated")
    assert (found.refused, found.refused_minutes) == (2, 0.0)
    assert "nothing can be estimated" in found.sentence()


def test_refused_points_that_were_not_looked_at_are_charged_the_mean_of_the_others() -> None:
    found = ledger.balance([], 4, [60.0, math.nan, 180.0], "")
    assert found.refused_minutes == pytest.approx(4 * 2.0)


def test_an_early_stop_saves_what_it_had_left_and_a_whole_trial_nothing() -> None:
    found = ledger.balance([ledger.Spent(120.0), ledger.Spent(30.0, spared_seconds=90.0, spared_steps=300)], 0, [], "")
    assert found.spent_minutes == pytest.approx(2.5)
    assert (found.stopped, found.stopped_minutes, found.stopped_steps) == (1, 1.5, 300)
    assert "(300 steps)" in found.sentence()
