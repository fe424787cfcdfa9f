"""A trial's settings in the words of other trainers."""

import json
import pathlib
import tomllib
from typing import Any

import pytest

from optimizer import export, records, study
from tests.optimizer import searching

STUDY = """\
study_version: 1
name: my-character
base: demo
dataset: ./data
space:
  learning_rate: {float: [6.0e-5, 1.2e-4], log: true}
  network_dim: {choices: [64, 128]}
  network_alpha_ratio: {choices: [0.25, 0.5]}
  optimizer_type: {choices: [AdamW, Prodigy]}
  lr_warmup_steps: {choices: [50, 100]}
  d_coef: {float: [0.5, 2.0], when: optimizer_type == "Prodigy"}
fixed: {resolution: 512, train_batch_size: 2, max_train_epochs: 12, lr_scheduler: cosine}
objectives: {clip_score: maximize}
evaluation: {prompts: [a cat]}
"""


@pytest.fixture
def spec(tmp_path: pathlib.Path) -> study.Study:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return study.read(path)


def trial(**params: Any) -> records.TrialRecord:
    sampled = {
        "learning_rate": 1e-4,
        "network_dim": 64,
        "network_alpha_ratio": 0.25,
        "optimizer_type": "AdamW",
        "lr_warmup_steps": 100,
    }
    return records.TrialRecord(
        number=3,
        state="usable",
        params={**sampled, **params},
        values={"clip_score": 0.3},
        refused_by=(),
        seconds=1.0,
        failure=None,
        phases={},
        metrics={},
        constraints={},
        lora=None,
        images=(),
        steps=None,
        attempts=1,
        rule_version="",
    )


def source(spec: study.Study, **params: Any) -> export.Source:
    return export.Source(spec, trial(**params), searching.situation(images=10).counter)


def test_sd_scripts_gets_true_alpha_and_whole_warmup_steps(spec: study.Study) -> None:
    config, dataset = export.to_sd_scripts(source(spec))
    read = tomllib.loads(config.text)
    assert read["network_alpha"] == 16.0
    assert read["lr_warmup_steps"] == 100
    assert isinstance(read["lr_warmup_steps"], int)
    assert read["max_train_steps"] == 12 * 5
    assert (pathlib.Path(read["pretrained_model_name_or_path"]) / "unet").is_dir()
    assert tomllib.loads(dataset.text)["datasets"][0]["subsets"][0]["image_dir"] == spec.dataset.path


def test_sd_scripts_is_told_whether_the_text_encoder_is_trained(spec: study.Study) -> None:
    """Its own default trains the text encoder at the full learning rate."""
    assert tomllib.loads(export.to_sd_scripts(source(spec))[0].text)["network_train_unet_only"] is True
    with_text = tomllib.loads(export.to_sd_scripts(source(spec, text_encoder_lr=5e-5))[0].text)
    assert with_text["text_encoder_lr"] == 5e-5
    assert "network_train_unet_only" not in with_text


def test_diffusers_arguments_name_the_rank_and_warn_of_alpha(spec: study.Study) -> None:
    (exported,) = export.to_diffusers(source(spec))
    assert "--rank=64" in exported.text.splitlines()
    assert "alpha 16" in exported.text


def test_json_holds_complete_parameters(spec: study.Study) -> None:
    (exported,) = export.to_json(source(spec))
    read = json.loads(exported.text)
    assert read["params"]["resolution"] == 512
    assert read["params"]["network_dim"] == 64
