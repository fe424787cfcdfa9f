"""What a study learns from earlier ones: mapped into its space, judged by its rules; what does not fit is said."""

import pathlib
from typing import Any

import optuna
import pytest

from optimizer import attributes, errors, jsonable
from optimizer.results import records
from optimizer.study import resolved as studies
from optimizer.trials import warm_start
from tests.optimizer import searching

SPACE = {
    "learning_rate": {"float": [1e-5, 1e-2], "log": True},
    "network_dim": {"choices": [4, 8]},
    "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts"]},
    "lr_scheduler_num_cycles": {"int": [1, 4], "when": 'lr_scheduler == "cosine_with_restarts"'},
}


State = optuna.trial.TrialState
POINT: dict[str, Any] = {
    "params": {"learning_rate": 1e-3},
    "distributions": {"learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True)},
}


def no_study(name: str) -> Any:
    raise AssertionError(name)


def gathered(path: pathlib.Path, text: str) -> warm_start.Gathered:
    path.write_text(text, encoding="utf-8")
    study = searching.study(SPACE, warm_start=[str(path)])
    search = searching.search(study, {"refuse": "learning_rate > 0.005"})
    return warm_start.gather(study, search.admission.judge, no_study)


def test_rows_of_a_table_become_prior_trials_and_what_does_not_fit_is_said(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "old.csv"
    found = gathered(
        path,
        "clip_score,learning_rate,network_dim,lr_scheduler,lr_scheduler_num_cycles\n"
        "0.30,0.001,8,cosine,\n"
        "0.31,0.002,4,cosine_with_restarts,3\n"
        "0.32,0.009,4,cosine,\n"
        "0.33,0.001,16,cosine,\n"
        "bad,0.001,4,cosine,\n",
    )
    assert [prior.values for prior in found.priors] == [(0.30,), (0.31,)]
    assert found.priors[0].params == {"learning_rate": 0.001, "network_dim": 8, "lr_scheduler": "cosine"}
    assert found.priors[1].params["lr_scheduler_num_cycles"] == 3
    assert found.left_out == {
        f"{path}: refused by rule-0": 1,
        f"{path}: network_dim is outside of 4, 8": 1,
        f"{path}: an objective is not a number": 1,
    }


def test_what_a_study_keeps_reads_back_the_same(tmp_path: pathlib.Path) -> None:
    found = gathered(tmp_path / "old.csv", "clip_score,learning_rate,network_dim,lr_scheduler\n0.30,0.001,8,cosine\n")
    assert jsonable.record(warm_start.Gathered, jsonable.of(found)) == found


def test_a_table_without_a_needed_column_is_one_clear_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.BadInput, match=r"old\.csv:1: .*network_dim is missing"):
        gathered(tmp_path / "old.csv", "clip_score,learning_rate,lr_scheduler\n0.3,0.001,cosine\n")


def test_a_missing_table_is_named(tmp_path: pathlib.Path) -> None:
    study = searching.study(SPACE, warm_start=[str(tmp_path / "none.csv")])
    with pytest.raises(errors.BadInput, match=r"none\.csv"):
        warm_start.gather(study, searching.search(study).admission.judge, no_study)


def test_the_sampler_learns_from_prior_trials() -> None:
    study = searching.study(SPACE, startup_trials=5)
    search = searching.search(study)
    priors = [
        warm_start.MappedTrial(
            {"learning_rate": 1e-3 + 1e-5 * at, "network_dim": 8, "lr_scheduler": "cosine"}, (1.0 + at,), "x"
        )
        for at in range(6)
    ] + [
        warm_start.MappedTrial(
            {"learning_rate": 2e-5 + 1e-6 * at, "network_dim": 4, "lr_scheduler": "cosine"}, (0.0,), "x"
        )
        for at in range(30)
    ]
    search.sketch.learn(warm_start.trials(study, priors))
    assert search.sketch.is_guided
    drawn = []
    for _ in range(12):
        search.sketch.begin()
        drawn.append(search.sketch.draw().params)
        search.sketch.end()
    assert sum(params["network_dim"] == 8 for params in drawn) >= 8


def test_starting_points_are_checked_where_they_stand() -> None:
    with pytest.raises(errors.BadInput) as caught:
        searching.study(SPACE, start=[{"network_dim": 8}, {"network_dim": 5, "network_dimm": 4}])
    assert "network_dim: 5 is outside of 4, 8" in str(caught.value)
    assert "network_dimm is not searched" in str(caught.value)


def test_starting_points_and_sources_stand_in_the_resolved_study() -> None:
    study = searching.study(SPACE, start=[{"network_dim": 8}], warm_start=["earlier"], repeats=3)
    again = studies.parse(study.source, study.name)
    assert again == study
    assert again.search.start == ({"network_dim": 8},)


def test_early_stopped_trials_of_an_earlier_study_are_left_out_and_said() -> None:
    """What they would have come to is not known, and their scores at points are of another study's prompts."""
    space = {"learning_rate": SPACE["learning_rate"]}
    study = searching.study(space, warm_start=["old"])
    found = [
        records.read([optuna.trial.create_trial(state=state, value=value, user_attrs=said, **POINT)], ["clip_score"])[0]
        for state, value, said in [
            (State.COMPLETE, 0.3, {}),
            (State.PRUNED, None, {attributes.STOPPED_BY: "pruner:asha", attributes.STEPS: 20}),
            (State.PRUNED, None, {}),
        ]
    ]
    gathered = warm_start.gather(study, searching.search(study).admission.judge, lambda name: (study, found))
    assert [prior.values for prior in gathered.priors] == [(0.3,), None]
    assert gathered.left_out == {"old: stopped early, so its result is not known": 1}
