"""Everything that looks at a trial's pictures: CLIP always, a second scorer for the subject where a job names one."""

import dataclasses
import pathlib

import torch

from trainers.files import digests
from trainers.lora import sections
from trainers.pictures.scoring import clip, dino, weights


@dataclasses.dataclass(frozen=True)
class Scorers:
    """The loaded models of one evaluation."""

    clip: clip.ClipScorer
    second: dino.DinoScorer | None = None

    @property
    def identity(self) -> str:
        """Names what all scores follow from."""
        return self.clip.identity if self.second is None else f"{self.clip.identity} {self.second.identity}"


def load(evaluation: sections.Evaluation, device: torch.device, cache: pathlib.Path) -> Scorers:
    """Load what an evaluation names.

    Raises:
        errors.ModelError: one cannot be loaded, or would have random weights.
    """
    second = None if evaluation.dino is None else dino.load(evaluation.dino, device, cache)
    return Scorers(clip.load(evaluation.clip, device, cache), second)


def version(evaluation: sections.Evaluation, cache: pathlib.Path) -> str:
    """What `load` would give now: the names, and the content of the files behind them. Quick, loads nothing."""
    named = [(evaluation.clip.model, evaluation.clip.pretrained)]
    if evaluation.dino is not None:
        named.append((evaluation.dino.model, evaluation.dino.weights))
    found = [weights.source(model, given) for model, given in named]
    return str([(*pair, path and digests.of_model(path, cache)) for pair, path in zip(named, found, strict=True)])
