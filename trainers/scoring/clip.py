"""The judge: an open_clip model with trained weights, never with random ones."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import open_clip
import torch
from PIL import Image

from trainers import architecture, digests, errors, job

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Judge:
    """A loaded CLIP model. `identity` names its weights."""

    identity: str
    model: Any
    transform: Any
    tokenizer: Any
    device: torch.device

    @torch.no_grad()
    def images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit-length embeddings on the CPU: (images, dimensions)."""
        pixels = [self.transform(image) for image in images]
        parts = [
            self.model.encode_image(torch.stack(pixels[start : start + _BATCH]).to(self.device), normalize=True)
            for start in range(0, len(pixels), _BATCH)
        ]
        return torch.cat(parts).float().cpu()

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit-length embeddings on the CPU: (texts, dimensions)."""
        encoded: torch.Tensor = self.model.encode_text(self.tokenizer(list(texts)).to(self.device), normalize=True)
        return encoded.float().cpu()


def load(clip: job.ClipModel, device: torch.device, cache: pathlib.Path) -> Judge:
    """Load the judge.

    Args:
        clip: an open_clip model name with its pretrained tag or weights file; a folder in open_clip's layout; a
            `hf-hub:` name; or `demo`.

    Raises:
        errors.ModelError: it cannot be loaded, or would have random weights.
    """
    name, folder = _name(clip)
    if folder is None and not clip.pretrained and not name.startswith("hf-hub:"):
        raise errors.ModelError(
            f"clip {clip.model!r}: give `pretrained` (a tag such as openai, or a weights file): "
            "a model with random weights judges nothing"
        )
    try:
        model, transform = open_clip.create_model_from_pretrained(
            name, pretrained=clip.pretrained or None, device=device
        )
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # open_clip and the hub client raise many kinds
        reason = str(error).strip().splitlines()[0]
        raise errors.ModelError(f"clip {clip.model!r} {clip.pretrained!r}: cannot be loaded: {reason}") from error
    model.requires_grad_(False).eval()
    identity = f"{name} {clip.pretrained}" if folder is None else digests.of_model(folder, cache)
    return Judge(identity, model, transform, tokenizer, device)


def _name(clip: job.ClipModel) -> tuple[str, pathlib.Path | None]:
    folder = architecture.DEMO / "clip" if clip.model == "demo" else pathlib.Path(clip.model).expanduser()
    return (f"local-dir:{folder}", folder) if folder.is_dir() else (clip.model, None)
