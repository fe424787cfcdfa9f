"""Tells broken pictures from sound ones, before and after the cast to 8 bit."""

import numpy
import torch
from PIL import Image

from trainers.contract import job

#: channel values below and above which a pixel counts as burnt out
_DARKEST, _BRIGHTEST = 3, 252


def failure(latent: torch.Tensor, pixels: torch.Tensor, thresholds: job.Thresholds) -> str | None:
    """The kind of failure (`trainers.contract.failures`) of one picture, or None.

    Non-finite values are looked for before the cast to 8 bit, which turns NaN to black and infinity to white.

    Args:
        latent: (C, h, w), as the sampler left it.
        pixels: (3, H, W), 0..1 where sound, as the VAE left it.
    """
    if not bool(torch.isfinite(latent).all()):
        return "nonfinite-latents"
    if not bool(torch.isfinite(pixels).all()):
        return "nonfinite-pixels"
    values = _eight_bit(pixels).astype(numpy.float32)  # (H, W, 3)
    if values.mean() < thresholds.black_mean:
        return "black-images"
    if values.std(axis=(0, 1)).max() < thresholds.flat_deviation:
        return "flat-images"
    if ((values < _DARKEST) | (values > _BRIGHTEST)).mean() > thresholds.saturated_share:
        return "saturated-images"
    return None


def image(pixels: torch.Tensor) -> Image.Image:
    """Pixels (3, H, W) in 0..1 as an RGB image; NaN becomes black."""
    return Image.fromarray(_eight_bit(pixels))


def _eight_bit(pixels: torch.Tensor) -> numpy.typing.NDArray[numpy.uint8]:
    sound = torch.nan_to_num(pixels.float(), nan=0.0).clamp(0, 1)
    array: numpy.typing.NDArray[numpy.uint8] = (sound * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return array
