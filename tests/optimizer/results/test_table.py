"""All trials as one table, which teaches another study the same as the study itself does."""

import csv
import dataclasses
import io
import pathlib
import tempfile
from typing import Any

import hypothesis
import optuna
import pytest
from hypothesis import strategies

from optimizer import attributes
from optimizer.results import records, table
from optimizer.study import resolved as studies
from optimizer.study import space
from optimizer.trials import warm_start
from tests.optimizer import searching

State = optuna.trial.TrialState
SPACE = {
    "learning_rate": {"float": [1e-5, 1e-2], "log": True},
    "network_dim": {"choices": [4, 8]},
    "enable_bucket": {"choices": [True, False]},
    "train_batch_size": {"int": [1, 8]},
    "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts"]},
    "lr_scheduler_num_cycles": {"int": [1, 4], "when": 'lr_scheduler == "cosine_with_restarts"'},
}
REFUSE = {"refuse": "learning_rate > 0.005"}


def frozen(study: studies.Study, params: dict[str, Any], state: State, value: float, said: dict[str, Any]) -> Any:
    trial = optuna.trial.create_trial(
        state=state,
        value=value if state is State.COMPLETE else None,
        params=params,
        distributions={name: space.distribution(study.space[name]) for name in params},
        user_attrs=said,
    )
    trial.number = 0
    return trial


@strategies.composite
def points(draw: Any) -> dict[str, Any]:
    params = {
        "learning_rate": draw(strategies.floats(1e-5, 1e-2)),
        "network_dim": draw(strategies.sampled_from([4, 8])),
        "enable_bucket": draw(strategies.booleans()),
        "train_batch_size": draw(strategies.integers(1, 8)),
        "lr_scheduler": draw(strategies.sampled_from(["cosine", "cosine_with_restarts"])),
    }
    if params["lr_scheduler"] == "cosine_with_restarts":
        params["lr_scheduler_num_cycles"] = draw(strategies.integers(1, 4))
    return params


OUTCOMES = [
    (State.COMPLETE, {}),
    (State.PRUNED, {}),
    (State.PRUNED, {attributes.STOPPED_BY: "pruner:asha", attributes.STEPS: 3}),
    (State.PRUNED, {attributes.REFUSED_BY: ["a-rule"]}),
    (State.FAIL, {}),
]


@pytest.mark.slow
@hypothesis.given(
    strategies.lists(strategies.tuples(points(), strategies.sampled_from(OUTCOMES), strategies.floats(-1, 1)))
)
def test_the_table_of_a_study_teaches_what_the_study_teaches(trials: list[Any]) -> None:
    old = searching.study(SPACE)
    found = records.read(
        [frozen(old, params, state, value, said) for params, (state, said), value in trials], list(old.objectives)
    )
    by_name = gathered("old", old, found)
    by_table = of_csv(table.to_csv(old, found), old)
    assert [(prior.params, prior.values) for prior in by_table.priors] == [
        (prior.params, prior.values) for prior in by_name.priors
    ]
    assert reasons(by_table) == reasons(by_name)


def gathered(source: str, old: studies.Study, found: list[records.TrialRecord]) -> warm_start.Gathered:
    study = searching.study(SPACE, warm_start=[source])
    return warm_start.gather(study, searching.search(study, REFUSE).admission.judge, lambda _: (old, found))


def of_csv(text: str, old: studies.Study) -> warm_start.Gathered:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "old.csv"
        path.write_text(text, encoding="utf-8")
        return gathered(str(path), old, [])


def test_a_row_says_what_became_of_its_trial() -> None:
    study = searching.study({"learning_rate": SPACE["learning_rate"]})
    refused = frozen(study, {"learning_rate": 1e-3}, State.PRUNED, 0, {attributes.REFUSED_BY: ["too-high"]})
    rows = list(csv.DictReader(io.StringIO(table.to_csv(study, records.read([refused], ["clip_score"])))))
    (row,) = rows
    assert (row["trial.number"], row["trial.state"], row["trial.reason"]) == ("0", "refused", "refused by too-high")
    assert (row["learning_rate"], row["clip_score"]) == ("0.001", "")


def test_metrics_have_columns_of_their_own_and_hide_nothing() -> None:
    study = searching.study({"learning_rate": SPACE["learning_rate"]})
    trained = frozen(study, {"learning_rate": 1e-3}, State.COMPLETE, 0.5, {})
    (record,) = records.read([trained], ["clip_score"])
    metrics = {"clip_score": 0.4, "learning_rate": 9.0, "failure_rate": 0.0, "clip_score_by_seed": [0.1]}
    record = dataclasses.replace(record, metrics=metrics, phases={"train": 2.5}, lora="/runs/lora.safetensors")
    (row,) = csv.DictReader(io.StringIO(table.to_csv(study, [record])))
    assert (row["learning_rate"], row["clip_score"], row["failure_rate"]) == ("0.001", "0.5", "0.0")
    assert (row["trial.seconds.train"], row["trial.lora"]) == ("2.5", "/runs/lora.safetensors")
    assert "clip_score_by_seed" not in row


def reasons(found: warm_start.Gathered) -> list[tuple[str, int]]:
    return sorted((said.split(": ", 1)[1], count) for said, count in found.left_out.items())
