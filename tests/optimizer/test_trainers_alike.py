"""A rule means the same whichever trainer a study names."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from constraints.proving import sample
from optimizer.rules import compiled
from optimizer.study import resolved as studies
from trainers.declared import registry
from trainers.lora import settings

#: trainers that know the parameters of a LoRA, with what each cannot do without
ALIKE: Mapping[str, Mapping[str, str]] = {"diffusion-lora": {}, "sd-scripts": {"sd_scripts": "/nowhere"}}
SPACE = {
    "learning_rate": {"float": [1e-5, 1e-2], "log": True},
    "text_encoder_lr_ratio": {"float": [0.0, 2.0]},
    "network_dim": {"choices": [4, 16, 64]},
    "network_alpha_ratio": {"float": [0.25, 4.0]},
    "optimizer_type": {"choices": ["AdamW", "AdamW8bit", "Prodigy"]},
}


def study(trainer: str, *rules: str) -> studies.Study:
    document = {
        "study_version": 1,
        "name": "alike",
        "trainer": trainer,
        "base": "demo",
        "dataset": "/nowhere",
        "space": SPACE,
        "fixed": dict(ALIKE[trainer]),
        "rules": rules,
        "objectives": {"clip_score": "maximize"},
        "evaluation": {"prompts": ["a cat"]},
    }
    return studies.parse(json.dumps(document), "alike.yaml")


def accepted(trainer: str) -> Any:
    spec = study(trainer, "lora-essentials")
    return compiled.of_files(spec).check(sample.draw(spec.space, spec.fixed).columns).accepted


def test_the_shipped_rules_accept_the_same_points_with_every_trainer() -> None:
    ours, theirs = (accepted(trainer) for trainer in ALIKE)
    assert 0 < ours.mean() < 1
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("trainer", registry.declarations())
def test_a_trainer_derives_what_follows_from_parameters_that_it_knows(trainer: str) -> None:
    known = registry.of(trainer).parameters
    derived = registry.of(trainer).derived({*SPACE})
    assert set(derived) == {"network_alpha", "text_encoder_lr"} & set(known)
    assert registry.of(trainer).derived({*SPACE, "network_alpha", "text_encoder_lr"}) == {}


@pytest.mark.parametrize("trainer", ALIKE)
def test_derived_values_are_those_that_are_trained(trainer: str) -> None:
    point = {"learning_rate": 2e-4, "text_encoder_lr_ratio": 0.5, "network_dim": 8, "network_alpha_ratio": 0.25}
    own = settings.lora_settings(point, seed=1)
    for name, text in registry.of(trainer).derived(point).items():
        assert eval(text, {}, dict(point)) == getattr(own, name)
