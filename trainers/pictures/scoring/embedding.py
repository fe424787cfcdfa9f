"""Pictures through a vision model, a portion at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

_PORTION = 32


def embed(
    images: Sequence[Image.Image],
    transform: Any,
    device: torch.device,
    model: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """What a model makes of pictures, on its device: (images, dimensions).

    Args:
        transform: from a picture to the model's pixels (3, side, side).
        model: from pixels (B, 3, side, side) to embeddings (B, dimensions).
    """
    pixels = [transform(image) for image in images]
    portions = [pixels[start : start + _PORTION] for start in range(0, len(pixels), _PORTION)]
    return torch.cat([model(torch.stack(portion).to(device)) for portion in portions])
