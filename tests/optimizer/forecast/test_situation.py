"""Facts of points and of tables; what the trainer really does is compared in tests/trainers/recipes."""

import math
import os
import pathlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import jsonable
from optimizer.forecast import situation as situations
from trainers.data import buckets, counters, showings
from trainers.declared import registry
from trainers.lora import settings

NO_GPU = situations.Gpu(0, None)
SHOWN = showings.Showings(5, ((64, 64, 30), (64, 128, 7), (96, 64, 4), (128, 64, 9), (300, 64, 1)))

#: parameters that steps depend on, as a trial may have them
POINTS = st.fixed_dictionaries(
    {},
    optional={
        "train_batch_size": st.integers(1, 9),
        "gradient_accumulation_steps": st.integers(1, 5),
        "enable_bucket": st.booleans(),
        "bucket_reso_steps": st.sampled_from([8, 16, 48, 64]),
        "resolution": st.sampled_from([64, 96]),
        "lr_scheduler": st.sampled_from(["constant", "constant_with_warmup", "cosine"]),
    },
)
LENGTHS = st.sampled_from(["max_train_epochs", "max_train_steps", "max_train_samples", None])
WARMUPS = st.sampled_from([{}, {"lr_warmup_steps": 3}, {"lr_warmup_ratio": 0.07}, {"lr_warmup_ratio": 1.0}])


@st.composite
def points(draw: st.DrawFn) -> dict[str, Any]:
    length = draw(LENGTHS)
    return {**draw(POINTS), **draw(WARMUPS), **({} if length is None else {length: draw(st.integers(1, 500))})}


@given(values=points(), trainer=st.sampled_from(["diffusion-lora", "sd-scripts"]))
def test_a_point_has_the_steps_of_its_trial(values: dict[str, Any], trainer: str) -> None:
    own = settings.lora_settings(values, seed=1)
    counter = counters.StepCounter(registry.of(trainer).batches, SHOWN, 64)
    plan = counter.plan(own)
    assert plan is not None
    found = situations.Situation(NO_GPU, counter).facts(values)
    assert (found["total_steps"], found["dataset.steps_per_epoch"]) == (plan.total_steps, plan.steps_per_epoch)
    assert found["effective_batch"] == plan.effective_batch
    assert found["warmup_share"] == plan.warmup_steps / plan.total_steps
    assert all(type(value) is float for value in found.values())


@given(table=st.lists(points(), min_size=1, max_size=6), resolution=st.sampled_from([None, 64]))
def test_facts_of_a_table_are_those_of_its_points(table: list[dict[str, Any]], resolution: int | None) -> None:
    situation = situations.Situation(NO_GPU, counters.StepCounter(buckets.training_size, SHOWN, resolution))
    names = {name for point in table for name in point}
    columns: dict[str, Any] = {}
    for name in names:
        text = name == "lr_scheduler"
        values = [point.get(name, None if text else math.nan) for point in table]
        columns[name] = np.array(values, dtype=object if text else float)
    found = situation.facts(columns)
    for at, point in enumerate(table):
        alone = situation.facts(point)
        for name, column in found.items():
            value = np.broadcast_to(column, len(table))[at]
            assert value == alone[name] if name in alone else np.isnan(value)


def test_a_column_of_choices_is_a_column_of_texts() -> None:
    situation = situations.Situation(NO_GPU, counters.StepCounter(buckets.training_size, SHOWN, 64))
    schedulers = np.array(["constant", "cosine"])
    found = situation.facts({"lr_scheduler": schedulers, "max_train_steps": 80, "lr_warmup_ratio": 0.25})
    assert found["warmup_share"].tolist() == [0.0, 0.25]


def test_bucketed_steps_need_a_resolution_and_squares_do_not() -> None:
    situation = situations.Situation(NO_GPU, counters.StepCounter(buckets.training_size, SHOWN, None))
    assert "total_steps" not in situation.facts({"enable_bucket": True})
    assert situation.facts({"enable_bucket": True, "resolution": 64})["total_steps"] == 510
    assert situation.facts({})["total_steps"] == 510


@pytest.mark.parametrize(
    ("params", "known"),
    [
        ({"max_train_epochs": 3, "train_batch_size": 4}, {"effective_batch": 4}),
        ({"max_train_steps": 80}, {"total_steps": 80}),
        ({"max_train_steps": 80, "lr_warmup_ratio": 0.1}, {"total_steps": 80, "warmup_share": 0.1}),
        (
            {"max_train_samples": 90, "train_batch_size": 4, "gradient_accumulation_steps": 2},
            {"total_steps": 12, "effective_batch": 8},
        ),
        ({}, {}),
    ],
)
def test_of_a_script_of_ones_own_only_what_it_is_told_is_known(params: dict[str, Any], known: dict[str, Any]) -> None:
    """How it cuts an epoch into batches, and what it does where nothing is said, is its own affair."""
    found = situations.Situation(NO_GPU, counters.StepCounter(None, SHOWN, 64)).facts(params)
    assert found == {"gpu.count": 0, "dataset.images": 5, **known}


def test_without_a_data_set_steps_are_known_where_they_are_given() -> None:
    situation = situations.Situation(NO_GPU, counters.StepCounter(buckets.training_size))
    assert situation.facts({"max_train_samples": 90})["total_steps"] == 90
    assert "total_steps" not in situation.facts({"max_train_epochs": 3})
    assert "dataset.images" not in situation.facts({})


def test_what_is_kept_of_a_data_set_counts_as_the_data_set() -> None:
    again = jsonable.record(showings.Showings, jsonable.of(SHOWN))
    assert (again.images, again.by_size) == (SHOWN.images, SHOWN.by_size)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"max_train_epochs": 1, "lr_scheduler": "cosine", "lr_warmup_steps": 52}, "52 in a trial of 51 steps"),
        ({"max_train_epochs": 1, "lr_scheduler": "cosine", "lr_warmup_steps": 51}, None),
        ({"lr_scheduler": "cosine", "lr_warmup_ratio": 1.0}, None),
        ({"max_train_epochs": 1, "lr_warmup_steps": 52}, None),  # constant
        ({"enable_bucket": True, "bucket_reso_steps": 72}, "bucket_reso_steps: 72 is more than the resolution of 64"),
        ({"enable_bucket": True, "bucket_reso_steps": 72, "resolution": 128}, None),
        ({"bucket_reso_steps": 72}, None),
    ],
)
def test_what_contradicts_the_data_set_or_the_base_is_refused(params: dict[str, Any], said: str | None) -> None:
    known = counters.StepCounter(buckets.training_size, SHOWN, 64).beside(params)
    found = registry.of("diffusion-lora").contradicted(known)
    assert [said in each for each in found] == ([] if said is None else [True])
    table = {name: value if isinstance(value, str) else np.array([value, value]) for name, value in params.items()}
    known = counters.StepCounter(buckets.training_size, SHOWN, 64).beside(table)
    assert registry.of("diffusion-lora").contradicted_points(known, 2).tolist() == [said is not None] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 24576; echo 8192", situations.Gpu(2, 8.0)),
        ("echo '[N/A]'", situations.Gpu(1, None)),
        ("echo NVIDIA-SMI has failed because it could not communicate with the driver.; exit 9", NO_GPU),
        ("printf '\\377\\376 1.2.3\\n'; exit 1", NO_GPU),
        ("exec sleep 60", NO_GPU),
        (None, NO_GPU),
    ],
)
def test_a_driver_that_does_not_answer_has_no_gpu(
    script: str | None, found: situations.Gpu, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool is one that cannot be run at all where there is no script."""
    tool = tmp_path / "nvidia-smi"
    tool.write_bytes(b"\x7fELF" if script is None else f"#!/bin/sh\n{script}\n".encode())
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(situations, "_DRIVER_SECONDS", 1.0)
    assert situations.gpus() == found
