"""A CLIP model of a real architecture, its weights in a file, through all that a scorer does."""

import pathlib
from collections.abc import Callable
from typing import Any

import open_clip
import pytest
import safetensors.torch
import torch
from PIL import Image

from trainers.contract import errors, job
from trainers.lora import sections
from trainers.pictures.scoring import clip
from trainers.recipes import kept

CPU = torch.device("cpu")
ARCHITECTURE = "ViT-S-32-alt"


def write_weights(file: pathlib.Path, seed: int) -> None:
    """Weights that nobody trained; a file counts as given whatever is in it."""
    torch.manual_seed(seed)
    state = open_clip.create_model(ARCHITECTURE).state_dict()
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    safetensors.torch.save_file(halved, file) if file.suffix == ".safetensors" else torch.save(halved, file)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_weights_file_gives_a_scorer_with_those_weights(name: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / name
    write_weights(file, seed=1)
    wanted = sections.ClipModel(model=ARCHITECTURE, pretrained=str(file))
    scorer, again = clip.load(wanted, CPU, tmp_path), clip.load(wanted, CPU, tmp_path)
    picture = Image.new("RGB", (64, 48), (200, 30, 30))
    assert torch.equal(scorer.images([picture]), again.images([picture]))
    assert scorer.images([picture] * 2).shape == (2, 256)
    assert scorer.texts(["a dog", "a cat", "a hat"]).norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)


@pytest.mark.slow
def test_a_scorer_is_named_by_what_is_in_its_weights_file(tmp_path: pathlib.Path) -> None:
    file, moved = tmp_path / "weights.safetensors", tmp_path / "elsewhere" / "same.safetensors"
    write_weights(file, seed=1)
    moved.parent.mkdir()
    moved.write_bytes(file.read_bytes())
    before = clip.load(sections.ClipModel(model=ARCHITECTURE, pretrained=str(file)), CPU, tmp_path).identity
    assert clip.load(sections.ClipModel(model=ARCHITECTURE, pretrained=str(moved)), CPU, tmp_path).identity == before
    write_weights(file, seed=2)
    assert clip.load(sections.ClipModel(model=ARCHITECTURE, pretrained=str(file)), CPU, tmp_path).identity != before


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "weights.safetensors"
    write_weights(file, seed=1)
    with pytest.raises(errors.ModelError, match=r"ViT-S-32.*cannot be loaded: text"):
        clip.load(sections.ClipModel(model="ViT-S-32", pretrained=str(file)), CPU, tmp_path)


@pytest.mark.slow
def test_weights_changed_under_the_same_path_are_never_measured_with_the_old_baseline(
    make_job: Callable[..., job.TrainJob], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "weights.safetensors"
    train_job = make_job({"max_train_steps": 1}, {"clip": {"model": ARCHITECTURE, "pretrained": str(file)}})
    told = []
    for seed in (1, 2):
        write_weights(file, seed)
        told.append(untrained_scores(train_job, kept.Kept()))
    assert told[0] != told[1]
    warm = kept.Kept()
    assert untrained_scores(train_job, warm) == told[1]
    write_weights(file, seed=1)
    assert untrained_scores(train_job, warm) == told[0]


def untrained_scores(train_job: job.TrainJob, models: kept.Kept) -> Any:
    """The untrained base's scores in a trial of a process that keeps these models."""
    from trainers.contract import events, interruption, paths
    from trainers.recipes import diffusion_lora, orders

    file = paths.JobPaths(pathlib.Path(train_job.directory)).events
    reporter = events.Reporter(file)
    diffusion_lora.run(orders.Order(train_job, reporter, interruption.Interruption(), models))
    reporter.close()
    told, _ = events.read(file)
    assert told[-1].data["outcome"] == "finished"
    return [event for event in told if event.event == "baseline"][-1].data["metrics"]["clip_score_by_prompt"]
