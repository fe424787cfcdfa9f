import pathlib

import numpy
import pytest
import torch

from trainers.bases import models
from trainers.contract import interruption, job, paths
from trainers.lora import sections
from trainers.pictures import sampling

EVALUATION = sections.Evaluation(prompts=("a red circle", "a blue star"), held_out=("a moon",), seeds=(1, 2), steps=2)


def test_every_prompt_meets_every_seed_with_noise_of_its_own() -> None:
    shots = sampling.shots(EVALUATION)
    assert [(shot.prompt, shot.seed, shot.held_out) for shot in shots] == [
        ("a red circle", 1, False),
        ("a red circle", 2, False),
        ("a blue star", 1, False),
        ("a blue star", 2, False),
        ("a moon", 1, True),
        ("a moon", 2, True),
    ]
    assert len({shot.noise_seed for shot in shots}) == len(shots)


def test_a_picture_depends_on_its_prompt_and_seed_alone(tmp_path: pathlib.Path) -> None:
    base = models.load("demo", "no", torch.device("cpu"), tmp_path)
    together = sampling.draw(base, EVALUATION, job.Thresholds(), lambda: None)
    fewer = EVALUATION.model_copy(update={"prompts": ("a red circle",), "held_out": ()})
    alone = sampling.draw(base, fewer, job.Thresholds(), lambda: None)
    for one, other in zip(together[:2], alone, strict=True):
        difference = numpy.asarray(one.image).astype(int) - numpy.asarray(other.image).astype(int)
        assert abs(difference).max() <= 1  # batches of another size round differently
    files = sampling.save(together, paths.TrialPaths(tmp_path / "trial"))
    assert [file.name for file in files[2:5]] == [
        "prompt-01-seed-1.png",
        "prompt-01-seed-2.png",
        "held-out-00-seed-1.png",
    ]
    assert paths.TrialPaths(tmp_path / "trial").grid.is_file()


def test_drawing_can_be_interrupted(tmp_path: pathlib.Path) -> None:
    base = models.load("demo", "no", torch.device("cpu"), tmp_path)
    asked = interruption.Interruption()
    asked.requested = True
    with pytest.raises(interruption.Interrupted):
        sampling.draw(base, EVALUATION, job.Thresholds(), asked.check)
