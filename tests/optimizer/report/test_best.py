"""The best trial as `study best` and the end of a run say it."""

import pytest

from optimizer.cli.study import best
from tests.optimizer import recorded


def test_the_best_trial_is_said_with_its_lora(capsys: pytest.CaptureFixture[str]) -> None:
    best.say(recorded.trial(3, lora="runs/3/lora.safetensors"))
    assert capsys.readouterr().out.splitlines()[-1] == "LoRA: runs/3/lora.safetensors"


def test_a_script_of_one_s_own_saves_no_lora_and_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    best.say(recorded.trial(3, lora=None))
    assert "LoRA" not in capsys.readouterr().out
