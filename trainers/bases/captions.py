"""The conditioning of a data set's captions while something trains on it."""

import pathlib
from collections.abc import Sequence

import torch

from trainers.bases import latents, models, text


class Captions:
    """Conditioning of captions by their numbers: encoded once, or anew each time while their encoder learns."""

    def __init__(self, base: models.Base, captions: Sequence[str], folder: pathlib.Path, *, learned: bool) -> None:
        """Encode or tokenize them on the base's device.

        Args:
            folder: the cache of what was encoded.
            learned: whether the text encoders change from step to step.
        """
        self._base = base
        self._tokens: tuple[torch.Tensor, ...] | None = None
        self._encoded: text.Conditioning | None = None
        if learned:
            self._tokens = tuple(ids.to(base.unet.device) for ids in text.tokenize(base, captions))
        else:
            self._encoded = latents.encode_captions(base, captions, folder)

    def __call__(self, numbers: torch.Tensor) -> text.Conditioning:
        """The conditioning of captions (B,): hidden (B, T, channels)."""
        if self._tokens is not None:
            return text.encode(self._base, [ids[numbers] for ids in self._tokens])
        assert self._encoded is not None  # one of the two is set above
        return self._encoded.rows(numbers)
