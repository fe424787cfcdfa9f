"""sd-scripts is asked before any trial whether it starts, what it is, and whether it knows what it will be told."""

import json
import pathlib
import sys
from typing import Any

import pytest

from trainers.kohya import limits as sd_scripts_limits
from trainers.kohya import probe
from trainers.kohya import settings as kohya_settings
from trainers.lora import noise

SCRIPT = """\
import argparse
print("sd-scripts prints while it is imported")
import {imported}
class torch: cuda = argparse.Namespace(is_available=lambda: {cuda})
import sys; sys.modules["torch"] = torch
def setup_parser():
    parser = argparse.ArgumentParser()
    for name in {options}: parser.add_argument("--" + name)
    return parser
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path


def asked(folder: pathlib.Path, timeout: float = 60, **changes: Any) -> probe.ProbeAnswer:
    words = {"imported": "json", "cuda": True, "options": list(kohya_settings.OPTIONS), **changes}
    (folder / "train_network.py").write_text(SCRIPT.format(**words), encoding="utf-8")
    return probe.ask(params(folder), "train_network.py", timeout)


def params(folder: pathlib.Path) -> dict[str, Any]:
    return {"sd_scripts": str(folder)}


def problems(folder: pathlib.Path, answer: probe.ProbeAnswer, **known: Any) -> str:
    return "\n".join(probe.problems(params(folder), answer, **known))


def test_one_that_works_says_what_it_is(folder: pathlib.Path) -> None:
    answer = asked(folder)
    assert answer.problem == ""
    assert "sd-scripts" in answer.render()
    assert problems(folder, answer) == ""


def test_what_cannot_be_imported_is_named_with_what_to_do(folder: pathlib.Path) -> None:
    found = problems(folder, asked(folder, imported="bitsandpieces"))
    assert "No module named 'bitsandpieces'" in found
    assert sys.executable in found
    assert "sd_scripts_python" in found


def test_an_option_that_a_checkout_does_not_know_is_named(folder: pathlib.Path) -> None:
    """sd-scripts leaves unknown options out in silence."""
    options = [name for name in kohya_settings.OPTIONS if name != "zero_terminal_snr"]
    assert "knows no option zero_terminal_snr" in problems(folder, asked(folder, options=options))


def test_a_torch_that_sees_no_gpu_is_named_where_there_is_one(folder: pathlib.Path) -> None:
    answer = asked(folder, cuda=False)
    assert problems(folder, answer) == ""
    assert "sees no GPU" in problems(folder, answer, gpus=1)


@pytest.mark.slow
def test_an_environment_that_hangs_is_given_up(folder: pathlib.Path) -> None:
    (folder / "waits.py").write_text("import time; time.sleep(60)")
    assert "did not import train_network.py within 1 s" in problems(folder, asked(folder, 1, imported="waits"))


def test_a_script_that_ends_its_process_is_told(folder: pathlib.Path) -> None:
    (folder / "leaves.py").write_text("import os; os._exit(3)")
    assert "ended with code 3" in problems(folder, asked(folder, imported="leaves"))


def test_a_missing_interpreter_and_a_missing_checkout_are_named(folder: pathlib.Path) -> None:
    (folder / "train_network.py").touch()
    elsewhere = {"sd_scripts": str(folder), "sd_scripts_python": str(folder / "python")}
    assert "cannot be started" in probe.ask(elsewhere, "train_network.py").problem
    assert "no such file" in probe.ask({"sd_scripts": str(folder / "none")}, "train_network.py").problem


def test_the_interpreter_of_an_environment_is_not_followed_to_where_it_links(folder: pathlib.Path) -> None:
    """The link tells Python which packages it has."""
    link = folder / "python"
    link.symlink_to(sys.executable)
    assert probe.python({"sd_scripts_python": str(link)}) == str(link)


def test_a_base_of_another_size_or_noise_is_refused() -> None:
    (shape, *_) = sd_scripts_limits.base_problems(kohya_settings.known_base("demo"))
    assert "own size" in shape
    linear = kohya_settings.BaseTraits("x", "sd15", 512, False, noise.Noise(), None)
    assert "scaled_linear" in "".join(sd_scripts_limits.base_problems(linear))
    usual = kohya_settings.BaseTraits("x", "sd15", 512, False, noise.STABLE_DIFFUSION, None)
    assert list(sd_scripts_limits.base_problems(usual)) == []


def test_a_text_encoder_that_old_transformers_would_draw_at_random_is_named(folder: pathlib.Path) -> None:
    (folder / "text_encoder").mkdir()
    base = kohya_settings.BaseTraits(str(folder), "sd15", 512, False, noise.STABLE_DIFFUSION, folder)
    for name, is_flat in (("encoder.layers.0.weight", True), ("text_model.encoder.layers.0.weight", False)):
        header = json.dumps({name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
        content = len(header).to_bytes(8, "little") + header
        (folder / "text_encoder" / "model.safetensors").write_bytes(content)
        assert (sd_scripts_limits.text_encoder_problem(base, "4.54.1") is not None) == is_flat
        assert sd_scripts_limits.text_encoder_problem(base, "5.6.0") is None


def test_each_family_has_bucket_steps_of_its_own() -> None:
    values = {"enable_bucket": (False, True), "bucket_reso_steps": (64, 32)}
    (refused,) = sd_scripts_limits.setting_problems("sd15", values)
    assert "multiples of 64" in refused
    assert list(sd_scripts_limits.setting_problems("sdxl", values)) == []
    assert list(sd_scripts_limits.setting_problems("sd15", {**values, "enable_bucket": (False,)})) == []
