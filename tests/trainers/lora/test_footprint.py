"""What a trial takes, before any has been trained."""

import dataclasses
import functools
import json
import pathlib
import struct
import tempfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.contract import milestones
from trainers.declared import registry
from trainers.lora import footprint, sections

EVALUATION = sections.Evaluation(prompts=("a", "b"), clip=sections.ClipModel(model="ViT-L-14", pretrained="openai"))


@functools.cache
def of(family: str) -> footprint.Footprint:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "base.safetensors"
        name = "conditioner.embedders.1.a" if family == "sdxl" else "model.a"
        header = json.dumps({name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        found = footprint.of(str(path), EVALUATION)
    assert found is not None
    return found


POINTS = st.fixed_dictionaries(
    {
        "network_dim": st.integers(1, 512),
        "resolution": st.integers(4, 24).map(lambda steps: 64 * steps),
        "train_batch_size": st.integers(1, 16),
        "gradient_accumulation_steps": st.integers(1, 8),
        "optimizer_type": st.sampled_from(["AdamW", "AdamW8bit", "Prodigy", "SGDNesterov"]),
        "mixed_precision": st.sampled_from(["no", "bf16", "fp16"]),
        "gradient_checkpointing": st.booleans(),
        "text_encoder_lr": st.sampled_from([0.0, 1e-5]),
    }
)


@pytest.mark.parametrize(
    ("family", "pixels", "checkpointed", "gib"),
    [("sd15", 512, False, 2.87), ("sd15", 512, True, 1.98), ("sdxl", 1024, False, 13.0), ("sdxl", 1024, True, 6.5)],
)
def test_unet_and_lora_meet_the_published_memory(family: str, pixels: int, checkpointed: bool, gib: float) -> None:
    """SimpleTuner's figures on an H100, batch 1, bf16, dim 16."""
    base = of(family)
    values = {
        "resolution": pixels,
        "network_dim": 16,
        "mixed_precision": "bf16",
        "gradient_checkpointing": checkpointed,
    }
    unet = 2 * base.base.unet_parameters
    assert (unet + base.training_bytes(values)) / 2**30 == pytest.approx(gib, rel=0.1)


@pytest.mark.parametrize(
    ("family", "pixels", "checkpointed", "seconds"),
    [("sd15", 512, False, 0.181), ("sd15", 512, True, 0.305), ("sdxl", 1024, False, 0.606), ("sdxl", 1024, True, 1.08)],
)
def test_a_step_takes_the_published_time(family: str, pixels: int, checkpointed: bool, seconds: float) -> None:
    values = {"resolution": pixels, "mixed_precision": "bf16", "gradient_checkpointing": checkpointed}
    assert of(family).step_seconds(values, on_gpu=True) == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@given(point=POINTS, name=st.sampled_from(["network_dim", "resolution", "train_batch_size"]), times=st.integers(2, 4))
def test_more_of_anything_never_takes_less(family: str, point: dict[str, Any], name: str, times: int) -> None:
    more = {**point, name: point[name] * times}
    assert of(family).vram_gb(more) >= of(family).vram_gb(point)
    for on_gpu in (True, False):
        assert of(family).step_seconds(more, on_gpu=on_gpu) >= of(family).step_seconds(point, on_gpu=on_gpu)


@given(point=POINTS)
def test_memory_is_saved_by_checkpointing_half_precision_and_small_optimizer_states(point: dict[str, Any]) -> None:
    base = of("sd15")
    assert base.vram_gb({**point, "mixed_precision": "bf16"}) < base.vram_gb({**point, "mixed_precision": "no"})
    for name, large, small in (
        ("gradient_checkpointing", False, True),
        ("optimizer_type", "AdamW", "AdamW8bit"),
        ("text_encoder_lr", 1e-5, 0.0),
    ):
        assert base.training_bytes({**point, name: small}) < base.training_bytes({**point, name: large})
    assert base.vram_gb(point) == base.vram_gb({**point, "gradient_accumulation_steps": 64})


@given(points=st.lists(POINTS, min_size=1, max_size=8))
def test_a_table_says_what_its_points_say(points: list[dict[str, Any]]) -> None:
    columns = {name: np.array([point[name] for point in points], dtype=object) for name in points[0]}
    base = of("sd15")
    assert base.vram_gb(columns) == pytest.approx([base.vram_gb(point) for point in points])
    for on_gpu in (True, False):
        alone = [base.step_seconds(point, on_gpu=on_gpu) for point in points]
        assert base.step_seconds(columns, on_gpu=on_gpu) == pytest.approx(alone)


def test_a_parameter_that_is_not_set_counts_as_its_default() -> None:
    base = of("sd15")
    columns = {"network_dim": np.array([16.0, np.nan]), "optimizer_type": np.array(["AdamW", None], dtype=object)}
    first, second = base.vram_gb(columns)
    assert first == second == pytest.approx(base.vram_gb({}))


def test_drawing_pictures_counts_where_it_takes_more_than_training() -> None:
    frugal = {"mixed_precision": "bf16", "gradient_checkpointing": True, "network_dim": 1, "resolution": 256}
    base = of("sd15")
    loaded_and_trained = base.training_bytes(frugal) + 2 * base.base.unet_parameters
    assert base.vram_gb(frugal) > loaded_and_trained / 2**30 + 2


def test_a_script_of_ones_own_has_no_footprint() -> None:
    assert registry.of("command").footprint("demo", EVALUATION) is None


@given(values=POINTS, steps=st.integers(1, 5000), every=st.integers(1, 2000))
def test_evaluation_points_are_charged_each_the_same(values: dict[str, Any], steps: int, every: int) -> None:
    plain = of("sd15")
    watched = dataclasses.replace(plain, every_samples=every, milestone_pictures=4, milestone_steps=20)
    more = watched.other_seconds(values, steps, on_gpu=True) - plain.other_seconds(values, steps, on_gpu=True)
    batch = values["train_batch_size"] * values["gradient_accumulation_steps"]
    count = milestones.count(steps, batch, every)
    one = dataclasses.replace(plain, pictures=4, drawing_steps=20).other_seconds(values, steps, on_gpu=True)
    none = dataclasses.replace(plain, pictures=0, drawing_steps=0).other_seconds(values, steps, on_gpu=True)
    assert more == pytest.approx(count * (one - none))
    assert watched.vram_gb(values) >= plain.vram_gb(values)
    assert watched.step_seconds(values, on_gpu=True) == plain.step_seconds(values, on_gpu=True)
