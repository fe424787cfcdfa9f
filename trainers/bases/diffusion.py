"""The mathematics of a diffusion training step, without models: what is drawn, what is learned, how it is weighed.

Shapes: B images of a batch, C latent channels, h and w latent sides.
"""

import dataclasses
from typing import Any

import torch


@dataclasses.dataclass(frozen=True)
class Draws:
    """Everything random about a batch, drawn on the CPU, so that equal seeds mean the same on every device.

    `flips` (B,) chooses the mirrored picture, `posterior` (B, C, h, w) the point in the VAE's distribution, `noise`
    (B, C, h, w) and `times` (B,) the training noise; `dropped` (B,) leaves captions empty.
    """

    flips: torch.Tensor
    posterior: torch.Tensor
    noise: torch.Tensor
    times: torch.Tensor
    dropped: torch.Tensor

    def to(self, device: torch.device) -> "Draws":
        """The same draws on `device`."""
        return Draws(**{name: move(value, device) for name, value in vars(self).items()})


def move(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on `device`. From pinned memory, so that the host need not wait for a GPU that is still busy."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def draw(
    seed: int, shape: tuple[int, ...], *, flips: int, timesteps: int, noise_offset: float, caption_dropout: float
) -> Draws:
    """Draw a batch of latent shape (B, C, h, w) from a seed of its own.

    Args:
        flips: 2 where pictures are mirrored half of the time, else 1.
        noise_offset: strength of a shift that is the same over a whole channel of a picture.
        caption_dropout: probability of an empty caption.
    """
    generator = torch.Generator().manual_seed(seed)
    images = shape[0]
    mirrored = torch.randint(flips, (images,), generator=generator)
    posterior = torch.randn(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if noise_offset > 0:
        noise = noise + noise_offset * torch.randn((*shape[:2], 1, 1), generator=generator)
    times = torch.randint(timesteps, (images,), generator=generator)
    dropped = torch.rand(images, generator=generator) < caption_dropout
    return Draws(mirrored, posterior, noise, times, dropped)


def target(noise_schedule: Any, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """What the model should predict, (B, C, h, w), by the schedule's prediction type."""
    kind = noise_schedule.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        velocity: torch.Tensor = noise_schedule.get_velocity(latents, noise, times)
        return velocity
    return latents


def min_snr_weights(noise_schedule: Any, times: torch.Tensor, gamma: float) -> torch.Tensor:
    """Min-SNR weights (B,): Hang et al. 2023, arXiv 2303.09556, equation 7, and its form for v and x0 targets."""
    alphas: torch.Tensor = noise_schedule.alphas_cumprod[times]
    snr = alphas / (1 - alphas)
    clipped = snr.clamp(max=gamma)
    kind = noise_schedule.config.prediction_type
    if kind == "epsilon":
        return clipped / snr.clamp(min=1e-8)  # a schedule with zero terminal SNR ends at 0
    return clipped / (snr + 1) if kind == "v_prediction" else clipped
