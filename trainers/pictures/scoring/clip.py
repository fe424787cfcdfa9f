"""The scorer: an open_clip model with trained weights, never with random ones."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import open_clip
import torch
from PIL import Image

from trainers.contract import errors
from trainers.lora import sections
from trainers.pictures.scoring import embedding, weights


@dataclasses.dataclass(frozen=True)
class ClipScorer:
    """A loaded CLIP model. `identity` names what its scores follow from."""

    identity: str
    model: Any
    transform: Any
    tokenizer: Any
    device: torch.device

    @torch.no_grad()
    def images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit-length embeddings on the CPU: (images, dimensions)."""
        encode = functools.partial(self.model.encode_image, normalize=True)
        return embedding.embed(images, self.transform, self.device, encode).float().cpu()

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit-length embeddings on the CPU: (texts, dimensions)."""
        encoded: torch.Tensor = self.model.encode_text(self.tokenizer(list(texts)).to(self.device), normalize=True)
        return encoded.float().cpu()


def load(clip: sections.ClipModel, device: torch.device, cache: pathlib.Path) -> ClipScorer:
    """Load the scorer.

    Args:
        clip: an open_clip model name with its pretrained tag or weights file; a folder in open_clip's layout; a
            `hf-hub:` name; or `demo`.

    Raises:
        errors.ModelError: it cannot be loaded, or would have random weights.
    """
    found = weights.source(clip.model, clip.pretrained)
    name = f"local-dir:{found}" if found is not None and found.is_dir() else clip.model
    if found is None and not clip.pretrained and not name.startswith("hf-hub:"):
        raise errors.ModelError(
            f"clip {clip.model!r}: give `pretrained` (a tag such as openai, or a weights file): "
            "a model with random weights scores nothing"
        )
    given = str(found) if found is not None and found.is_file() else clip.pretrained or None
    try:
        model, transform = open_clip.create_model_from_pretrained(name, pretrained=given, device=device)
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # open_clip and the hub client raise many kinds
        said = errors.reason(error)
        raise errors.ModelError(f"clip {clip.model!r} {clip.pretrained!r}: cannot be loaded: {said}") from error
    model.requires_grad_(False).eval()
    preprocessing = open_clip.get_model_preprocess_cfg(model)
    called = "" if name.startswith("local-dir:") else name  # a folder may be moved
    return ClipScorer(weights.identity(called, found, model, preprocessing, cache), model, transform, tokenizer, device)
