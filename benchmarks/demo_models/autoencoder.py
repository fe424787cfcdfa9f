"""The autoencoder: 64 x 64 pixels to 8 x 8 latents of 8 channels and back (`AutoencoderTiny`, 0.4 million parameters).

Most steps see crops of half the side around an edge: twice as many pictures in the same time, and nearly all of them
hold an eye, a horn or a corner, which whole pictures mostly lack.
"""

import pathlib
import random

import diffusers
import numpy as np
import torch

from benchmarks.demo_models import pictures, training

PEAK_LEARNING_RATE = 1.5e-3
WIDTH = 32
CROP = 32  # pixels a side
CROPS = 32  # a batch
WHOLE = 16  # a batch of whole pictures, the same number of pixels twice over
LATENT_NOISE = 0.06  # standard deviation; keeps the decoder's answer smooth around what the denoiser will hand it


def build() -> diffusers.AutoencoderTiny:
    """An untrained autoencoder."""
    return diffusers.AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(1, 1, 1, 2),
        num_decoder_blocks=(3, 2, 1, 1),
        latent_channels=8,
    )


def train(
    steps: int, work: pathlib.Path, *, start: pathlib.Path | None, seed: int = 0, whole_after: float = 0.84
) -> diffusers.AutoencoderTiny:
    """Train for `steps` batches, from the folder `start` or from nothing; from `whole_after` on no crops are seen."""
    torch.manual_seed(seed)
    model = build() if start is None else diffusers.AutoencoderTiny.from_pretrained(start, dtype=torch.float32)
    model.to(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0)

    def save() -> training.State:
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}

    def load(state: training.State) -> None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])

    stage = training.Stage("autoencoder", steps, work / "autoencoder.pt", save, load)
    for step in stage.steps():
        rng = random.Random(f"autoencoder {seed} {step}")
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate(step, steps, PEAK_LEARNING_RATE, hold=0.3)
        images = batch(rng, whole=step >= whole_after * steps or step % 8 == 7)
        loss = reconstruction_loss(model, images)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        stage.observe(loss.item(), step)
    model.register_to_config(scaling_factor=_scaling_factor(model))
    return model.eval()


def batch(rng: random.Random, *, whole: bool) -> torch.Tensor:
    """Pictures in -1..1, (16, 3, 64, 64) whole or (32, 3, 32, 32) cropped, channels last."""
    drawn = [pictures.subject(rng)[0] for _ in range(WHOLE if whole else CROPS)]
    if not whole:
        drawn = [_crop_around_an_edge(pixels, rng) for pixels in drawn]
    return pictures.to_tensor(drawn).contiguous(memory_format=torch.channels_last)


def reconstruction_loss(model: diffusers.AutoencoderTiny, images: torch.Tensor) -> torch.Tensor:
    """Absolute and squared error of pixels, absolute error of their differences, and latents held near unit size."""
    with torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(images).latents
        decoded = model.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample
    latents, error = latents.float(), decoded.float() - images
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    size = (latents.square().mean() - 0.7).relu() + latents.mean((0, 2, 3)).square().mean()
    loss: torch.Tensor = error.abs().mean() + error.square().mean() + 0.5 * edges + 0.01 * size
    return loss


@torch.no_grad()
def encode(model: diffusers.AutoencoderTiny, drawn: list[pictures.Pixels]) -> torch.Tensor:
    """Latents of pictures as the denoiser sees them, (B, 8, 8, 8), about unit size."""
    images = pictures.to_tensor(drawn).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        latents = model.encode(images).latents
    scaled: torch.Tensor = latents.float() * model.config.scaling_factor
    return scaled


def _scaling_factor(model: diffusers.AutoencoderTiny) -> float:
    rng = random.Random("scaling factor")
    with torch.no_grad():
        latents = model.encode(torch.cat([batch(rng, whole=True) for _ in range(32)])).latents
    return float(1 / latents.std())


def _crop_around_an_edge(pixels: pictures.Pixels, rng: random.Random) -> pictures.Pixels:
    """A crop of 32 x 32 that holds a randomly chosen edge pixel, where there is one."""
    edge_rows, edge_columns = np.nonzero(np.abs(np.diff(pixels.astype(np.int16), axis=0)).sum(axis=2) > 40)
    side, last = pixels.shape[0], pixels.shape[0] - CROP
    row, column = side // 2, side // 2
    if len(edge_rows):
        chosen = rng.randrange(len(edge_rows))
        row, column = int(edge_rows[chosen]), int(edge_columns[chosen])
    top = min(last, max(0, row - rng.randrange(4, CROP - 4)))
    left = min(last, max(0, column - rng.randrange(4, CROP - 4)))
    return pixels[top : top + CROP, left : left + CROP]
