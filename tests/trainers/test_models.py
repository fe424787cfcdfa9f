import json
import pathlib
import shutil

import pytest
import torch

from trainers import architecture, errors, job, models
from trainers.scoring import clip

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


def test_a_judge_is_never_given_random_weights(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ModelError, match="random weights"):
        clip.load(job.ClipModel(model="ViT-B-32"), CPU, tmp_path)
    with pytest.raises(errors.ModelError, match="cannot be loaded"):
        clip.load(job.ClipModel(model="ViT-B-32", pretrained=str(tmp_path / "none.pt")), CPU, tmp_path)
    shutil.copytree(architecture.DEMO / "clip", tmp_path / "bare")
    (tmp_path / "bare" / "open_clip_model.safetensors").unlink()
    with pytest.raises(errors.ModelError, match="cannot be loaded"):
        clip.load(job.ClipModel(model=str(tmp_path / "bare")), CPU, tmp_path)
