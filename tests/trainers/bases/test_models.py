import ast
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import torch

from trainers.bases import models
from trainers.contract import errors
from trainers.lora import architecture, sections
from trainers.pictures.scoring import clip

CPU = torch.device("cpu")


def test_the_demo_base_loads_through_the_ordinary_path(tmp_path: pathlib.Path) -> None:
    base = models.load(str(architecture.DEMO / "base"), "no", CPU, tmp_path)
    assert (base.family, base.resolution) == ("sd15", 64)
    assert base.sha256 == models.load("demo", "no", CPU, tmp_path).sha256
    assert not any(weight.requires_grad for weight in base.unet.parameters())


def test_the_vae_stays_in_float32_when_the_rest_is_bf16(tmp_path: pathlib.Path) -> None:
    base = models.load("demo", "bf16", CPU, tmp_path)
    assert (base.unet.dtype, base.text_encoders[0].dtype) == (torch.bfloat16, torch.bfloat16)
    assert base.vae.dtype == torch.float32


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/nowhere/model", "no such folder or file"),
        ("./nowhere", "no such folder or file"),
        ("{empty}", "holds no model_index.json"),
        ("{flux}", "is a FluxPipeline; known are StableDiffusionPipeline"),
        ("{torn}", "cannot be loaded"),
    ],
)
def test_a_base_that_cannot_be_loaded_is_one_clear_error(source: str, said: str, tmp_path: pathlib.Path) -> None:
    for name in ("empty", "flux"):
        (tmp_path / name).mkdir()
    (tmp_path / "flux" / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    shutil.copytree(architecture.DEMO / "base", tmp_path / "torn")
    (tmp_path / "torn" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    filled = source.format(**{name: tmp_path / name for name in ("empty", "flux", "torn")})
    with pytest.raises(errors.ModelError, match=said):
        models.load(filled, "no", CPU, tmp_path)


def load_offline(hub: pathlib.Path, *sources: str) -> list[str]:
    """What a process without a network prints of each base: its family, name and digest, or the error."""
    program = (
        "import pathlib, sys, torch; from trainers.bases import models; from trainers.contract import errors\n"
        "for source in sys.argv[2:]:\n"
        "    try:\n"
        "        base = models.load(source, 'no', torch.device('cpu'), pathlib.Path(sys.argv[1]))\n"
        "        print(base.family, base.source, base.sha256)\n"
        "    except errors.ModelError as error: print(repr(str(error)))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub)}
    command = [sys.executable, "-c", program, str(hub / "digests"), *sources]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.slow
def test_a_hub_id_loads_from_what_was_fetched_before_and_says_what_to_do_otherwise(tmp_path: pathlib.Path) -> None:
    fetched = tmp_path / "models--somebody--tiny"
    shutil.copytree(architecture.DEMO / "base", fetched / "snapshots" / ("a" * 40))
    (fetched / "refs").mkdir()
    (fetched / "refs" / "main").write_text("a" * 40)
    demo = models.load("demo", "no", CPU, tmp_path)
    loaded, refused = load_offline(tmp_path, "somebody/tiny", "somebody/other")
    assert loaded == f"sd15 somebody/tiny {demo.sha256}"
    said = ast.literal_eval(refused)
    assert said.startswith("base 'somebody/other': no such folder here, and the hub does not give it: ")
    assert said.endswith("hf download somebody/other")
    assert "\n" not in said


def test_a_judge_is_never_given_random_weights(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ModelError, match="random weights"):
        clip.load(sections.ClipModel(model="ViT-B-32"), CPU, tmp_path)
    with pytest.raises(errors.ModelError, match="cannot be loaded"):
        clip.load(sections.ClipModel(model="ViT-B-32", pretrained=str(tmp_path / "none.pt")), CPU, tmp_path)
    shutil.copytree(architecture.DEMO / "clip", tmp_path / "bare")
    (tmp_path / "bare" / "open_clip_model.safetensors").unlink()
    with pytest.raises(errors.ModelError, match="cannot be loaded"):
        clip.load(sections.ClipModel(model=str(tmp_path / "bare")), CPU, tmp_path)
