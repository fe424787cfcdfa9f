"""Proposals: rare points found, nothing feasible proved; what holds for every sampler is in `tests/contracts`."""

import collections

import numpy as np
import pytest

from optimizer import errors
from optimizer.designs.search import reservoir
from optimizer.study import space
from tests.optimizer import searching


@pytest.mark.slow
def test_points_that_no_sample_finds_are_solved_for() -> None:
    narrow = "learning_rate > 0.0012345670 and learning_rate < 0.0012345671 and network_alpha > 63.99999999"
    search = searching.search(searching.study(searching.LORA), {"require": narrow + " and network_alpha < 64.00000001"})
    drawn = searching.drawn(search)
    assert drawn.params is not None
    assert not search.admission.judge(drawn.params).refused_by


@pytest.mark.slow
def test_points_that_no_sample_finds_are_not_sampled_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What four million points did not show, the next four million will hardly show; neighbours are looked at first."""
    narrow = "learning_rate > 0.0012345670 and learning_rate < 0.0012345671 and network_alpha > 63.99999999"
    search = searching.search(searching.study(searching.LORA, sampler="random"), {"require": narrow})
    searching.drawn(search)
    judged = 0
    weigh = search.admission.weigh

    def counting(columns: reservoir.Columns) -> np.ndarray:
        nonlocal judged
        judged += len(columns["learning_rate"])
        return weigh(columns)

    monkeypatch.setattr(search.feasible.reservoir, "_weigh", counting)
    points = set()
    for _ in range(4):
        params = searching.drawn(search).params
        assert params is not None
        points.add(space.point(params))
    assert len(points) >= 2
    assert judged < reservoir.MOST_POINTS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_rule_that_ties_a_float_to_a_choice_is_searched_along(name: str) -> None:
    """Alpha that must be half of the rank leaves no volume, but as many ranks as before, and every rate."""
    study = searching.study(searching.LORA, sampler=name, startup_trials=4)
    search = searching.search(study, {"require": "abs(network_alpha - network_dim / 2) < 0.000000001"})
    trials = searching.Trials(search)
    for _ in range(12):
        params = searching.drawn(search).params
        assert params is not None
        trials.add(params, [params["learning_rate"]])
        trials.look()
    assert len({trial.params["network_dim"] for trial in trials.trials}) >= 4
    assert len({trial.params["learning_rate"] for trial in trials.trials}) >= 10


def test_a_gaussian_process_that_is_refused_each_time_is_fitted_once_a_proposal() -> None:
    search = searching.search(searching.study(searching.LORA, sampler="gp"), {"require": "learning_rate < 0.0000101"})
    refused = [len(searching.drawn(search).refused) for _ in range(4)]
    assert refused[-1] == 1


@pytest.mark.slow
def test_an_empty_space_names_the_rules_that_clash() -> None:
    search = searching.search(
        searching.study(searching.LORA),
        {"refuse": "learning_rate < 0.001"},
        {"refuse": "network_dim == 4"},
        {"refuse": "learning_rate >= 0.001 and max_train_epochs >= 1"},
    )
    with pytest.raises(errors.NothingFeasible) as caught:
        searching.drawn(search)
    assert "rule-0, rule-2" in str(caught.value)
    assert "rule-1" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_soft_rules_are_acceptance_probabilities() -> None:
    parameters = {"learning_rate": {"float": [0.0, 1.0]}}
    study = searching.study(parameters, sampler="random")
    search = searching.search(study, {"discourage": "learning_rate < 0.5", "weight": 0.25})
    low = 0
    for _ in range(1000):
        params = searching.drawn(search).params
        assert params is not None
        low += params["learning_rate"] < 0.5
    # a share of 0.25 / 1.25 = 0.2, with a standard error of 0.013
    assert 0.14 < low / 1000 < 0.26


def test_what_the_sampler_wants_decides_which_feasible_point_is_taken() -> None:
    """A density that sits on refused ground is followed to the edge of it."""
    parameters = {"learning_rate": {"float": [0.0, 1.0]}, "network_dropout": {"float": [0.0, 0.5]}}
    search = searching.search(searching.study(parameters, startup_trials=5), {"refuse": "learning_rate > 0.1"})
    trials = searching.Trials(search)
    for at in range(30):
        trials.add({"learning_rate": 0.9 + 0.001 * at, "network_dropout": 0.4}, [1.0 + at])
        trials.add({"learning_rate": 0.01 * at, "network_dropout": 0.1}, [0.0])
    trials.look()
    drawn = [searching.drawn(search).params for _ in range(10)]
    assert sum(point["network_dropout"] > 0.25 for point in drawn if point is not None) >= 6


def test_refusals_on_the_way_are_handed_over_with_their_rules() -> None:
    search = searching.search(searching.study(searching.LORA, sampler="random"), {"refuse": "learning_rate > 0.00002"})
    counted: collections.Counter[str] = collections.Counter()
    for _ in range(20):
        for params, verdict in searching.drawn(search).refused:
            assert params["learning_rate"] > 0.00002
            counted.update(verdict.refused_by)
    assert counted["rule-0"] > 20
