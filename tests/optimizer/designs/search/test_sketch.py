"""The sketch: what it learns, what it forgets, and that samplers' notes outlive a worker."""

import random

import optuna
import pytest

from optimizer import attributes
from optimizer.designs.search import sketch as sketches
from optimizer.designs.search import thinning
from optimizer.study import space
from optimizer.trials import duplicates
from tests.optimizer import searching

SPACE = {"learning_rate": {"float": [0.0, 1.0]}, "network_dropout": {"float": [0.0, 0.5]}}
State = optuna.trial.TrialState


def test_crashed_trials_teach_nothing() -> None:
    search = searching.search(searching.study(SPACE, startup_trials=1))
    trials = searching.Trials(search)
    for _ in range(5):
        trials.add({"learning_rate": 0.5, "network_dropout": 0.1}, None, state=State.FAIL)
    trials.look()
    assert not search.sketch.is_guided


@pytest.mark.parametrize("name", ["tpe", "gp", "random", "qmc", "nsga2"])
def test_scores_of_early_stopped_trials_do_not_trip_a_sampler_of_several_objectives(name: str) -> None:
    """Optuna's TPE asks for the one direction of a study whose pruned trials have intermediate values."""
    objectives = {"clip_score": "maximize", "failure_rate": "minimize"}
    search = searching.search(searching.study(SPACE, startup_trials=4, sampler=name, objectives=objectives))
    trials = searching.Trials(search)
    for at in range(12):
        point = {"learning_rate": at / 12, "network_dropout": 0.1}
        stopped = at % 2 == 0
        curve = {8: 0.5, 16: 0.6}
        trials.add(
            point, None if stopped else [0.5, 0.0], constraints={attributes.TRAINING: 0.0}, intermediate_values=curve
        )
    trials.look()
    assert searching.drawn(search).params is not None
    assert trials.trials[0].intermediate_values == {8: 0.5, 16: 0.6}


def test_early_stopped_trials_teach_their_scores_where_there_is_one_objective() -> None:
    """Trials that ended at the same point: those with the better score are followed."""
    search = searching.search(searching.study(SPACE, startup_trials=5))
    trials = searching.Trials(search)
    for at in range(40):
        rate = at / 40
        point = {"learning_rate": rate, "network_dropout": 0.1}
        value = 1 - abs(rate - 0.2)
        trials.add(point, None, constraints={attributes.TRAINING: 0.0}, intermediate_values={8: value})
    trials.look()
    drawn = [searching.drawn(search).params for _ in range(10)]
    assert sum(abs(point["learning_rate"] - 0.2) < 0.25 for point in drawn if point is not None) >= 8


def test_running_trials_stand_in_until_they_end() -> None:
    search = searching.search(searching.study(SPACE))
    trials = searching.Trials(search)
    running = trials.add({"learning_rate": 0.5, "network_dropout": 0.1}, None, state=State.RUNNING)
    trials.look()
    assert search.history.is_tried(running.params)
    trials.trials[0] = optuna.trial.create_trial(
        state=State.COMPLETE, value=1.0, params=running.params, distributions=running.distributions
    )
    trials.look()
    assert search.history.is_tried(running.params)
    assert search.history.running == []
    assert len(list(duplicates.outcomes(trials.trials, running.params))) == 1


def test_a_long_study_is_thinned_and_goes_on() -> None:
    search = searching.search(searching.study(SPACE))
    trials = searching.Trials(search)
    for at in range(sketches.MOST_ROWS + 50):
        trials.add({"learning_rate": (at % 997) / 997, "network_dropout": (at % 89) / 178}, [float(at % 101)])
        if at % 100 == 0:
            trials.look()
    trials.look()
    assert search.sketch.rows <= sketches.MOST_ROWS
    assert searching.drawn(search).params is not None


def test_thinning_keeps_the_best_and_the_latest() -> None:
    trials = []
    for at in range(500):
        trial = optuna.trial.create_trial(
            state=State.COMPLETE,
            values=[float(at % 250), float(-(at % 250))] if at != 123 else [-1.0, -999.0],
            params={"x": at / 500},
            distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
        )
        trial.number = at
        trials.append(trial)
    kept = thinning.thin(trials, ["minimize", "minimize"], 100, random.Random(0))
    numbers = [trial.number for trial in kept]
    assert len(numbers) == 100
    assert numbers == sorted(numbers)
    assert 123 in numbers
    assert set(range(480, 500)) <= set(numbers)


@pytest.mark.parametrize("name", ["nsga2", "cmaes"])
def test_generations_go_on_in_another_worker(name: str) -> None:
    """What NSGA-II and CMA-ES keep with trials is written with them, so whoever joins goes on with the generation."""
    study = searching.study(SPACE, sampler=name, startup_trials=2)
    first = searching.search(study)
    trials = searching.Trials(first)
    for _ in range(8):
        drawn = searching.drawn(first)
        assert drawn.params is not None
        trials.add(drawn.params, [drawn.params["learning_rate"]], drawn.notes)
        trials.look()
    noted = [trial for trial in trials.trials if any("generation" in key for key in trial.system_attrs)]
    assert len(noted) >= 5
    second = searching.search(study, seed=99)
    second.learn(trials.trials)
    notes = searching.drawn(second).notes
    assert any("generation" in key for key in notes)


def test_unit_rows_and_points_are_each_other() -> None:
    study = searching.study(
        {
            "learning_rate": {"float": [1e-5, 1e-2], "log": True},
            "network_dropout": {"float": [0.0, 0.5], "step": 0.05},
            "max_train_epochs": {"int": [1, 50], "log": True},
            "network_dim": {"choices": [4, 8, 16]},
        }
    )
    chance = random.Random(1)
    for _ in range(300):
        params = {name: space.at_share(domain, chance.random()) for name, domain in study.space.items()}
        for name, domain in study.space.items():
            again = space.at_share(domain, space.share_of(domain, params[name]))
            assert again == pytest.approx(params[name], rel=1e-9)
