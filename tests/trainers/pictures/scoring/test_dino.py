"""A real timm model, its weights in a file, through all that the second scorer does."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from trainers.contract import errors, job
from trainers.lora import sections
from trainers.pictures.scoring import dino

CPU = torch.device("cpu")
NAME = "vit_small_patch16_224.dino"


def weights(seed: int) -> dict[str, torch.Tensor]:
    """Weights that nobody trained; a file counts as given whatever is in it."""
    torch.manual_seed(seed)
    state: dict[str, torch.Tensor] = timm.create_model(NAME).state_dict()
    return state


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "dino.safetensors"
    safetensors.torch.save_file(weights(seed=1), path)
    return path


@pytest.mark.slow
def test_a_weights_file_gives_an_eye_with_those_weights(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    eye = dino.load(sections.DinoModel(model=NAME, weights=str(file)), CPU, tmp_path)
    assert torch.equal(eye.model.state_dict()["blocks.3.attn.qkv.weight"], weights(1)["blocks.3.attn.qkv.weight"])
    seen = eye.images([Image.new("RGB", (64, 48), (200, 30, 30)), Image.new("RGB", (64, 64))])
    assert seen.shape == (2, 384)
    assert seen.norm(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    pickled = tmp_path / "dino.pth"
    torch.save(weights(seed=1), pickled)
    same = dino.load(sections.DinoModel(model=NAME, weights=str(pickled)), CPU, tmp_path)
    assert torch.allclose(same.images([Image.new("RGB", (64, 64))])[0], seen[1], atol=1e-6)


@pytest.mark.slow
def test_an_eye_is_named_by_what_is_in_its_weights_file(file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    wanted = sections.DinoModel(model=NAME, weights=str(file))
    before = dino.load(wanted, CPU, tmp_path).identity
    assert dino.load(wanted, CPU, tmp_path).identity == before
    safetensors.torch.save_file(weights(seed=2), file)
    assert dino.load(wanted, CPU, tmp_path).identity != before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_out", "model", "said"),
    [
        ("blocks.3.", NAME, r"Missing key\(s\)"),
        ("", "vit_tiny_patch16_224", "size mismatch|Unexpected key"),
        ("", "vit_small_patch16_224.dinosaur", "Invalid pretrained tag"),
        ("", "dinosaur", "Unknown model"),
    ],
)
def test_no_weight_is_ever_left_random(
    left_out: str, model: str, said: str, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    kept = {name: tensor for name, tensor in weights(1).items() if not left_out or not name.startswith(left_out)}
    safetensors.torch.save_file(kept, file)
    with pytest.raises(errors.ModelError, match=said):
        dino.load(sections.DinoModel(model=model, weights=str(file)), CPU, tmp_path)


def test_weights_that_are_not_there_are_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ModelError, match=r"none\.pth': no such file"):
        dino.load(sections.DinoModel(model=NAME, weights=str(tmp_path / "none.pth")), CPU, tmp_path)


@pytest.mark.slow
def test_a_trial_tells_the_similarity_that_the_second_eye_sees(
    make_job: Callable[..., job.TrainJob], run: Callable[..., Any], file: pathlib.Path
) -> None:
    told = run(make_job({"max_train_steps": 1}, {"dino": {"model": NAME, "weights": str(file)}}))
    seen = told.one("scored")["metrics"]["subject_similarity_dino"]
    assert -1 <= seen <= 1
    assert seen != told.one("scored")["metrics"]["subject_similarity"]
    before = told.one("baseline")["metrics"]["subject_similarity_dino"]
    safetensors.torch.save_file(weights(seed=2), file)
    again = run(make_job({"max_train_steps": 1}, {"dino": {"model": NAME, "weights": str(file)}}))
    assert again.one("baseline")["metrics"]["subject_similarity_dino"] != before
