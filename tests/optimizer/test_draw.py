"""Proposals: never a refused point, whatever the sampler; rare points found; nothing feasible proved."""

import collections

import hypothesis
import pytest
from hypothesis import strategies

from optimizer import draw, errors, sampler, space
from tests.optimizer import searching

LORA = {
    "learning_rate": {"float": [1e-5, 1e-2], "log": True},
    "network_dim": {"choices": [4, 8, 16, 32, 64, 128]},
    "network_alpha": {"float": [1.0, 128.0]},
    "network_dropout": {"float": [0.0, 0.5], "step": 0.05},
    "max_train_epochs": {"int": [1, 50]},
    "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts", "polynomial"]},
    "lr_scheduler_num_cycles": {"int": [1, 4], "when": 'lr_scheduler == "cosine_with_restarts"'},
}
SAMPLERS = ["tpe", "gp", "random", "qmc", "nsga2", "cmaes"]
#: draws of each sampler in the law below; a Gaussian process is fitted for each of its draws
PROPOSALS = {"gp": 10}

conditions = strategies.one_of(
    strategies.floats(1e-5, 1e-2).map(lambda low: f"learning_rate > {low!r}"),
    strategies.floats(1e-4, 1.0).map(lambda low: f"learning_rate * network_alpha / network_dim > {low!r}"),
    strategies.sampled_from([4, 8, 16, 32]).map(lambda dim: f"network_dim <= {dim}"),
    strategies.integers(1, 40).map(lambda epochs: f"max_train_epochs < {epochs}"),
    strategies.integers(20, 1000).map(lambda steps: f"total_steps > {steps}"),
    strategies.sampled_from(["cosine", "cosine_with_restarts"]).map(lambda name: f'lr_scheduler == "{name}"'),
    strategies.just("lr_scheduler_num_cycles >= 3"),
    strategies.floats(0.05, 0.5).map(lambda most: f"network_dropout >= {most!r}"),
)
rules = strategies.lists(
    strategies.one_of(
        strategies.lists(conditions, min_size=1, max_size=3).map(lambda parts: {"refuse": " and ".join(parts)}),
        conditions.map(lambda one: {"discourage": one, "weight": 0.2}),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("name", SAMPLERS)
@hypothesis.settings(
    deadline=None,
    max_examples=6,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate),
)
@hypothesis.given(written=rules, seed=strategies.integers(0, 2**31))
def test_no_proposal_is_refused_or_outside_of_the_space(name: str, written: list[dict[str, object]], seed: int) -> None:
    study = searching.study(LORA, sampler=name, startup_trials=5)
    search = searching.search(study, *written, seed=seed)
    trials = searching.Trials(search)
    for at in range(PROPOSALS.get(name, 25)):
        try:
            drawn = draw.draw(search)
        except errors.NothingFeasible:
            return
        assert drawn.params is not None
        assert not search.judge(drawn.params).refused_by
        assert all(study.space[parameter].contains(value) for parameter, value in drawn.params.items())
        assert ("lr_scheduler_num_cycles" in drawn.params) == (drawn.params["lr_scheduler"] == "cosine_with_restarts")
        good = -abs(drawn.params["learning_rate"] - 1e-3) - 0.01 * drawn.params["network_dropout"]
        trials.add(
            drawn.params, None if at % 7 == 6 else [good], drawn.notes, constraints={"training": float(at % 7 == 6)}
        )
        trials.look()


@pytest.mark.parametrize("name", ["tpe", "random", "nsga2", "gp"])
def test_two_objectives_are_searched_under_rules(name: str) -> None:
    objectives = {"clip_score": "maximize", "failure_rate": "minimize"}
    study = searching.study(LORA, sampler=name, startup_trials=4, objectives=objectives)
    search = searching.search(study, {"refuse": "learning_rate * network_alpha / network_dim > 0.001"})
    trials = searching.Trials(search)
    for _ in range(12):
        drawn = draw.draw(search)
        assert drawn.params is not None
        assert not search.judge(drawn.params).refused_by
        trials.add(drawn.params, [drawn.params["learning_rate"], drawn.params["network_dropout"]], drawn.notes)
        trials.look()


def test_cma_es_is_refused_for_several_objectives() -> None:
    objectives = {"clip_score": "maximize", "failure_rate": "minimize"}
    with pytest.raises(errors.BadInput, match="cmaes knows one objective"):
        searching.search(searching.study(LORA, sampler="cmaes", objectives=objectives))


@pytest.mark.parametrize("name", ["tpe", "random", "qmc"])
def test_points_of_one_in_a_hundred_thousand_are_found(name: str) -> None:
    band = "abs(learning_rate * network_alpha / network_dim - 0.001) < 0.0000009"
    search = searching.search(
        searching.study(LORA, sampler=name), {"require": [band, "max_train_epochs >= 20", "network_dropout <= 0.1"]}
    )
    seen = set()
    for _ in range(3):
        drawn = draw.draw(search)
        assert drawn.params is not None
        assert not search.judge(drawn.params).refused_by
        seen.add(space.point(drawn.params))
    assert len(seen) == 3


def test_points_that_no_sample_finds_are_solved_for() -> None:
    narrow = "learning_rate > 0.0012345670 and learning_rate < 0.0012345671 and network_alpha > 63.99999999"
    search = searching.search(searching.study(LORA), {"require": narrow + " and network_alpha < 64.00000001"})
    drawn = draw.draw(search)
    assert drawn.params is not None
    assert not search.judge(drawn.params).refused_by


def test_an_empty_space_names_the_rules_that_clash() -> None:
    search = searching.search(
        searching.study(LORA),
        {"refuse": "learning_rate < 0.001"},
        {"refuse": "network_dim == 4"},
        {"refuse": "learning_rate >= 0.001 and max_train_epochs >= 1"},
    )
    with pytest.raises(errors.NothingFeasible) as caught:
        draw.draw(search)
    assert "rule-0, rule-2" in str(caught.value)
    assert "rule-1" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_small_space_is_tried_once_and_then_exhausted() -> None:
    parameters = {"network_dim": {"choices": [4, 8, 16]}, "max_train_epochs": {"int": [1, 3]}}
    search = searching.search(searching.study(parameters), {"refuse": "network_dim == 16"})
    trials = searching.Trials(search)
    seen = []
    while (params := draw.draw(search).params) is not None:
        seen.append(space.point(params))
        trials.add(params, [1.0])
        trials.look()
    assert len(seen) == len(set(seen)) == 6


def test_duplicates_are_drawn_where_the_study_wants_them() -> None:
    parameters = {"network_dim": {"choices": [4, 8]}}
    search = searching.search(searching.study(parameters, duplicates="train"))
    trials = searching.Trials(search)
    for _ in range(5):
        params = draw.draw(search).params
        assert params is not None
        trials.add(params, [1.0])
        trials.look()


def test_soft_rules_are_acceptance_probabilities() -> None:
    parameters = {"learning_rate": {"float": [0.0, 1.0]}}
    study = searching.study(parameters, sampler="random")
    search = searching.search(study, {"discourage": "learning_rate < 0.5", "weight": 0.25})
    low = 0
    for _ in range(1000):
        params = draw.draw(search).params
        assert params is not None
        low += params["learning_rate"] < 0.5
    # a share of 0.25 / 1.25 = 0.2, with a standard error of 0.013
    assert 0.14 < low / 1000 < 0.26


def test_refused_draws_become_trials_where_the_study_wants_them() -> None:
    study = searching.study(LORA, refusals="prune", sampler="random")
    search = searching.search(study, {"refuse": "learning_rate > 0.00002"})
    drawn = draw.draw(search)
    assert drawn.verdict is not None
    assert drawn.verdict.refused_by == ("rule-0",)


def test_what_the_sampler_wants_decides_which_feasible_point_is_taken() -> None:
    """A density that sits on refused ground is followed to the edge of it."""
    parameters = {"learning_rate": {"float": [0.0, 1.0]}, "network_dropout": {"float": [0.0, 0.5]}}
    search = searching.search(searching.study(parameters, startup_trials=5), {"refuse": "learning_rate > 0.1"})
    trials = searching.Trials(search)
    for at in range(30):
        trials.add({"learning_rate": 0.9 + 0.001 * at, "network_dropout": 0.4}, [1.0 + at])
        trials.add({"learning_rate": 0.01 * at, "network_dropout": 0.1}, [0.0])
    trials.look()
    drawn = [draw.draw(search).params for _ in range(10)]
    assert sum(point["network_dropout"] > 0.25 for point in drawn if point is not None) >= 6


def test_workers_of_one_study_draw_different_points() -> None:
    study = searching.study(LORA)
    points = [space.point(draw.draw(searching.search(study, seed=seed)).params or {}) for seed in range(32)]
    assert len(set(points)) == 32


def test_the_same_seed_draws_the_same_points() -> None:
    study = searching.study(LORA)
    first, second = searching.search(study), searching.search(study)
    assert [draw.draw(first).params for _ in range(5)] == [draw.draw(second).params for _ in range(5)]


def test_refusals_on_the_way_are_handed_over_with_their_rules() -> None:
    search = searching.search(searching.study(LORA, sampler="random"), {"refuse": "learning_rate > 0.00002"})
    counted: collections.Counter[str] = collections.Counter()
    for _ in range(20):
        for params, verdict in draw.draw(search).refused:
            assert params["learning_rate"] > 0.00002
            counted.update(verdict.refused_by)
    assert counted["rule-0"] > 20


def test_every_sampler_has_its_patience() -> None:
    assert set(sampler.PATIENCE) <= set(SAMPLERS)
