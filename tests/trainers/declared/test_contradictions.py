"""What cannot be trained is the same for one point and for a table of points."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.declared import registry
from trainers.lora import parameters

RATES = st.sampled_from([0.0, 1e-9, 5e-8, 1e-7, 1.1e-7, 1e-4, 0.5])
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "learning_rate": RATES,
    "text_encoder_lr": RATES,
    "text_encoder_lr_ratio": st.sampled_from([0.0, 0.5, 1.0]),
    "network_dim": st.sampled_from([4, 16]),
    "network_alpha": st.sampled_from([2.0, 8.0, 16.0]),
    "network_alpha_ratio": st.sampled_from([0.5, 1.0]),
    "max_train_epochs": st.integers(1, 3),
    "max_train_steps": st.integers(1, 3),
    "max_train_samples": st.integers(1, 3),
    "lr_warmup_steps": st.integers(0, 9),
    "lr_warmup_ratio": st.sampled_from([0.0, 0.5, 1.0]),
    "lr_scheduler": st.sampled_from(parameters.SCHEDULERS),
    "optimizer_type": st.sampled_from(parameters.OPTIMIZERS),
}
POINTS = st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=8)


def columns(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Points as the search holds them: NaN or None where a parameter is not set."""
    table = {}
    for name in sorted({name for point in points for name in point}):
        text = name in ("lr_scheduler", "optimizer_type")
        values = [point.get(name, None if text else math.nan) for point in points]
        table[name] = np.array(values, dtype=object if text else float)
    return table


@given(POINTS)
def test_a_table_of_points_is_judged_as_each_point_is(points: list[dict[str, Any]]) -> None:
    one_by_one = [bool(registry.of("diffusion-lora").contradicted(point)) for point in points]
    together = registry.of("diffusion-lora").contradicted_points(columns(points), len(points))
    assert list(together) == one_by_one


def test_values_that_are_fixed_stand_beside_columns() -> None:
    table = {"learning_rate": np.array([5e-8, 1e-4]), "lr_scheduler": "polynomial", "network_dim": 16}
    assert list(registry.of("diffusion-lora").contradicted_points(table, 2)) == [True, False]


@pytest.mark.parametrize("trainer", registry.declarations())
def test_no_points_are_no_contradiction(trainer: str) -> None:
    assert registry.of(trainer).contradicted_points({}, 0).shape == (0,)
    assert registry.of(trainer).contradicted({}) == []
