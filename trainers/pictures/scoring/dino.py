"""The second scorer: a timm model with trained weights that sees pictures only, never one with random weights.

DreamBooth (Ruiz et al. 2023) compares subjects by the class token of a self-supervised ViT-S/16 (DINO): unlike CLIP it
was never taught to call two things of one kind the same.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import timm
import timm.data
import torch
from PIL import Image

from trainers.contract import errors
from trainers.lora import sections
from trainers.pictures.scoring import embedding, weights


@dataclasses.dataclass(frozen=True)
class DinoScorer:
    """A loaded vision model. `identity` names what its scores follow from."""

    identity: str
    model: Any
    transform: Any
    device: torch.device

    @torch.no_grad()
    def images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit-length embeddings on the CPU: (images, dimensions)."""
        seen = embedding.embed(images, self.transform, self.device, self.model)
        return torch.nn.functional.normalize(seen.float(), dim=1).cpu()


def load(dino: sections.DinoModel, device: torch.device, cache: pathlib.Path) -> DinoScorer:
    """Load a timm model with the weights of a file, or with those that timm's name for them stands for.

    Raises:
        errors.ModelError: there is no such model, or its weights cannot be had; random ones never take their place.
    """
    found = weights.source(dino.model, dino.weights)
    if dino.weights and found is None:
        raise errors.ModelError(f"dino {dino.model!r}: weights {dino.weights!r}: no such file")
    # with as many classes as asked for, timm takes a file only if it fills the whole network
    overlay = {} if found is None else {"file": str(found), "num_classes": 0}
    try:
        model = timm.create_model(dino.model, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay or None)
    except Exception as error:  # timm and the hub client raise many kinds
        said = errors.reason(error)
        remedy = "" if found else "; without a network give `weights`, a file of this model's weights"
        raise errors.ModelError(f"dino {dino.model!r} {dino.weights!r}: cannot be loaded: {said}{remedy}") from error
    model = model.to(device).requires_grad_(False).eval()
    preprocessing = timm.data.resolve_data_config({}, model=model)
    transform = timm.data.create_transform(**preprocessing)
    return DinoScorer(weights.identity(dino.model, found, model, preprocessing, cache), model, transform, device)
