"""What every sampler that a study file can name must do, under any rules."""

import functools
import typing
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import hypothesis
import optuna
import pytest
from hypothesis import strategies

from optimizer import attributes, errors
from optimizer.designs import design
from optimizer.designs.search import search as searches
from optimizer.designs.search import sketch as sketches
from optimizer.study import space
from optimizer.study import written as study_file
from tests.optimizer import searching

SAMPLERS = typing.get_args(study_file.SearchEntry.model_fields["sampler"].annotation)
SMALL = {"network_dim": {"choices": [4, 8, 16]}, "max_train_epochs": {"int": [1, 3]}}
TWO = {"clip_score": "maximize", "failure_rate": "minimize"}
#: proposals of a search that is long enough to be guided; a Gaussian process is fitted for each draw
STARTUP = 5
PROPOSALS = {"gp": 10}
USUAL_PROPOSALS = 25

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
rule_sets = strategies.lists(
    strategies.one_of(
        strategies.lists(conditions, min_size=1, max_size=3).map(lambda parts: {"refuse": " and ".join(parts)}),
        conditions.map(lambda one: {"discourage": one, "weight": 0.2}),
    ),
    min_size=1,
    max_size=5,
)
#: samplers that read how bad unusable trials were
LEARN_FROM_FAILURES = ("tpe",)
seeds = strategies.integers(0, 2**31)


def law(examples: int, **given: Any) -> Any:
    """A law over random rule sets; whole searches are examples, so there are few and none is made smaller."""
    settings = hypothesis.settings(
        deadline=None,
        max_examples=examples,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate),
    )
    return lambda test: settings(hypothesis.given(**given)(test))


def propose(search: searches.Search, count: int) -> list[Mapping[str, Any]]:
    """So many proposals, each learned as it ends; every seventh is unusable. Fewer where nothing is feasible."""
    trials = searching.Trials(search)
    points: list[Mapping[str, Any]] = []
    for at in range(count):
        try:
            drawn = search.next()
        except errors.NothingFeasible:
            break
        if isinstance(drawn, design.Exhausted):
            break
        points.append(drawn.params)
        is_bad = at % 7 == 6
        trials.add(
            drawn.params,
            None if is_bad else _values(drawn.params, len(search.admission.study.objectives)),
            drawn.notes,
            constraints={attributes.TRAINING: float(is_bad)},
        )
        trials.look()
    return points


def _values(params: Mapping[str, Any], objectives: int) -> list[float]:
    return [-abs(params.get("learning_rate", 0.0) - 1e-3), params.get("network_dropout", 0.0)][:objectives]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "gp" else name for name in SAMPLERS]
)
class TestSampler:
    """The contract of a sampler in a search."""

    @pytest.fixture
    def open_search(self, name: str) -> functools.partial[searches.Search]:
        """A search of this sampler over a space under rules."""
        return functools.partial(_open, name)

    @pytest.fixture
    def count(self, name: str) -> int:
        return PROPOSALS.get(name, USUAL_PROPOSALS)

    @pytest.mark.slow
    @law(6, written=rule_sets, seed=seeds)
    def test_no_proposal_is_refused_or_outside_of_the_space(
        self, name: str, written: Sequence[Mapping[str, Any]], seed: int
    ) -> None:
        """Rules hold, values lie in their domains, steps on their grid, conditional parameters where active."""
        search = _open(name, searching.LORA, *written, seed=seed)
        for params in propose(search, PROPOSALS.get(name, USUAL_PROPOSALS)):
            assert not search.admission.judge(params).refused_by
            assert all(search.admission.study.space[parameter].contains(value) for parameter, value in params.items())
            assert params["network_dropout"] in search.admission.study.space["network_dropout"].grid()
            assert ("lr_scheduler_num_cycles" in params) == (params["lr_scheduler"] == "cosine_with_restarts")
            assert params.keys() >= searching.LORA.keys() - {"lr_scheduler_num_cycles"}

    @pytest.mark.slow
    @law(2, written=rule_sets, seed=seeds)
    def test_the_same_seed_and_results_give_the_same_points(
        self, name: str, written: Sequence[Mapping[str, Any]], seed: int
    ) -> None:
        first, second = (propose(_open(name, searching.LORA, *written, seed=seed), 8) for _ in range(2))
        assert first == second

    def test_it_is_made_without_a_warning(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = sketches.make(name, seed=1, objectives=1, startup_trials=2, conditional=True)
        assert isinstance(made, optuna.samplers.BaseSampler)
        assert not caplog.records

    def test_workers_of_one_study_draw_different_points(self, open_search: Any) -> None:
        points = [
            space.point(searching.drawn(open_search(searching.LORA, seed=seed)).params or {}) for seed in range(16)
        ]
        assert len(set(points)) == 16

    @pytest.mark.parametrize("duplicates", ["avoid", "train"])
    def test_a_small_space_is_tried_once_and_then_exhausted(self, open_search: Any, duplicates: str) -> None:
        search = open_search(SMALL, {"refuse": "network_dim == 16"}, duplicates=duplicates)
        points = [space.point(params) for params in propose(search, 12)]
        if duplicates == "avoid":
            assert len(points) == len(set(points)) == 6
        else:
            assert len(points) == 12

    def test_several_objectives_are_searched_or_refused(self, name: str, open_search: Any, count: int) -> None:
        if name == "cmaes":
            with pytest.raises(errors.BadInput, match="cmaes knows one objective"):
                open_search(searching.LORA, objectives=TWO)
            return
        rule = {"refuse": "learning_rate * network_alpha / network_dim > 0.001"}
        search = open_search(searching.LORA, rule, objectives=TWO)
        points = propose(search, count)
        assert len(points) == count
        assert not any(search.admission.judge(params).refused_by for params in points)

    def test_a_study_of_unusable_trials_alone_goes_on(self, open_search: Any) -> None:
        search = open_search(searching.LORA, {"refuse": "learning_rate > 0.001"})
        trials = searching.Trials(search)
        for at in range(STARTUP + 5):
            params = searching.drawn(search).params
            assert params is not None
            trials.add(params, None, constraints={attributes.TRAINING: 1.0 + at})
            trials.look()
        assert len({space.point(trial.params) for trial in trials.trials}) == STARTUP + 5

    def test_unusable_trials_teach_what_the_sampler_can_learn(self, name: str, open_search: Any) -> None:
        """Where training failed over half of the range, those that read failures leave it; the others still propose."""
        parameters = {"learning_rate": {"float": [0.0, 1.0]}, "network_dropout": {"float": [0.0, 0.5]}}
        search = open_search(parameters)
        trials = searching.Trials(search)
        for at in range(30):
            trials.add(
                {"learning_rate": 0.5 + at / 60, "network_dropout": 0.4}, None, constraints={attributes.TRAINING: 1.0}
            )
            trials.add({"learning_rate": at / 90, "network_dropout": 0.1}, [0.5])
        trials.look()
        drawn = [params for _ in range(10) if (params := searching.drawn(search).params) is not None]
        assert len(drawn) == 10
        assert all(
            search.admission.study.space[name].contains(value) for params in drawn for name, value in params.items()
        )
        if name in LEARN_FROM_FAILURES:
            assert sum(params["learning_rate"] < 0.45 for params in drawn) >= 9

    def test_trials_that_run_and_trials_that_crashed_do_not_disturb(self, open_search: Any) -> None:
        search = open_search(searching.LORA, {"refuse": "learning_rate > 0.001"})
        trials = searching.Trials(search)
        states = (sketches.TrialState.RUNNING, sketches.TrialState.FAIL, sketches.TrialState.COMPLETE)
        for at in range(3 * STARTUP):
            params = searching.drawn(search).params
            assert params is not None
            state = states[at % 3]
            trials.add(params, [float(at)] if state is sketches.TrialState.COMPLETE else None, state=state)
            trials.look()
        assert len(search.history.running) == STARTUP
        assert not any(search.admission.judge(trial.params).refused_by for trial in trials.trials)

    def test_refused_draws_become_trials_where_the_study_wants_them(self, open_search: Any) -> None:
        """What the rules refuse comes back with its verdict, and told PRUNED with it the search goes on."""
        search = open_search(searching.LORA, {"refuse": "learning_rate > 0.00002"}, refusals="prune")
        trials = searching.Trials(search)
        refused = 0
        for _ in range(8):
            drawn = searching.drawn(search)
            assert drawn.params is not None
            is_refused = drawn.verdict is not None and bool(drawn.verdict.refused_by)
            assert is_refused == bool(search.admission.judge(drawn.params).refused_by)
            refused += is_refused
            trials.add(
                drawn.params,
                None if is_refused else [1.0],
                drawn.notes,
                constraints=dict(drawn.verdict.violations) if is_refused and drawn.verdict else {},
            )
            trials.look()
        assert refused > 0

    def test_points_of_one_in_a_hundred_thousand_are_found(self, open_search: Any) -> None:
        band = "abs(learning_rate * network_alpha / network_dim - 0.001) < 0.0000009"
        search = open_search(searching.LORA, {"require": [band, "max_train_epochs >= 20", "network_dropout <= 0.1"]})
        points = propose(search, STARTUP + 2)
        assert len({space.point(params) for params in points}) == STARTUP + 2
        assert not any(search.admission.judge(params).refused_by for params in points)


def _open(name: str, parameters: Mapping[str, Any], *rules: Mapping[str, Any], **more: Any) -> searches.Search:
    seed = more.pop("seed", 1)
    study = searching.study(parameters, sampler=name, startup_trials=STARTUP, **more)
    return searching.search(study, *rules, seed=seed)


def test_patience_is_that_of_samplers_there_are() -> None:
    assert sketches.PATIENCE.keys() == sketches.LEAST_PATIENCE.keys()
    assert sketches.PATIENCE.keys() <= set(SAMPLERS)
