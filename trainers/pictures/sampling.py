"""Draws the validation pictures: every prompt with every seed, each from its own noise."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import torch
from PIL import Image

from trainers.bases import models
from trainers.contract import job, paths
from trainers.files import portions
from trainers.lora import sections
from trainers.pictures import soundness


@dataclasses.dataclass(frozen=True)
class Shot:
    """One picture to draw. `number` counts the prompt within its own list; `noise_seed` seeds its starting noise."""

    prompt: str
    number: int
    seed: int
    held_out: bool
    noise_seed: int


@dataclasses.dataclass(frozen=True)
class DrawnPicture:
    """A picture that was drawn, as it is saved and scored; `failure` is a kind of `trainers.contract.failures` or
    None."""

    shot: Shot
    image: Image.Image
    failure: str | None


def shots(evaluation: sections.Evaluation) -> list[Shot]:
    """All pictures of an evaluation: its prompts first, then the held-out ones, each with every seed.

    Each picture has noise of its own (seed * 1000 + position of its prompt), so that a mean over prompts is also one
    over noises.
    """
    prompts = [(prompt, number, False) for number, prompt in enumerate(evaluation.prompts)]
    prompts += [(prompt, number, True) for number, prompt in enumerate(evaluation.held_out)]
    return [
        Shot(prompt, number, seed, held_out, noise_seed=seed * 1000 + position)
        for position, (prompt, number, held_out) in enumerate(prompts)
        for seed in evaluation.seeds
    ]


def draw(
    base: models.Base, evaluation: sections.Evaluation, thresholds: job.Thresholds, check: Callable[[], None]
) -> list[DrawnPicture]:
    """Draw an evaluation's pictures with the base as it stands, LoRA included, at the base's own resolution.

    Args:
        check: called between batches; raises to stop.
    """
    at_a_time = portions.drawn(base.resolution)
    wanted = shots(evaluation)
    drawn: list[DrawnPicture] = []
    for start in range(0, len(wanted), at_a_time):
        check()
        drawn += _draw_batch(base, evaluation, thresholds, wanted[start : start + at_a_time])
    return drawn


@torch.no_grad()
def _draw_batch(
    base: models.Base, evaluation: sections.Evaluation, thresholds: job.Thresholds, wanted: Sequence[Shot]
) -> list[DrawnPicture]:
    latents = base.pipeline(
        [shot.prompt for shot in wanted],
        negative_prompt=[evaluation.negative_prompt] * len(wanted),
        num_inference_steps=evaluation.steps,
        guidance_scale=evaluation.guidance_scale,
        generator=[torch.Generator().manual_seed(shot.noise_seed) for shot in wanted],
        height=base.resolution,
        width=base.resolution,
        output_type="latent",
    ).images
    pixels = decode(base, latents)
    return [
        DrawnPicture(shot, soundness.image(picture), soundness.failure(latent, picture, thresholds))
        for shot, latent, picture in zip(wanted, latents, pixels, strict=True)
    ]


def decode(base: models.Base, latents: torch.Tensor) -> torch.Tensor:
    """Latents (B, C, h, w) to pixels (B, 3, H, W), 0..1 where they are sound; NaN stays NaN.

    A few at a time: the VAE holds hundreds of channels at full resolution in float32.
    """
    scaled = latents.to(base.vae.dtype) / base.vae.config.scaling_factor
    parts = torch.split(scaled, portions.decoded(base.resolution))
    decoded = torch.cat([base.vae.decode(part, return_dict=False)[0] for part in parts])
    return decoded / 2 + 0.5


def save(drawn: Sequence[DrawnPicture], trial: paths.TrialPaths) -> list[pathlib.Path]:
    """Write the pictures and their grid (a row a seed, a column a prompt; held-out prompts are not in it)."""
    trial.images.mkdir(parents=True, exist_ok=True)
    files = []
    for each in drawn:
        path = trial.image(each.shot.number, each.shot.seed, held_out=each.shot.held_out)
        each.image.save(path)
        files.append(path)
    _grid([each for each in drawn if not each.shot.held_out]).save(trial.grid)
    return files


def _grid(drawn: Sequence[DrawnPicture]) -> Image.Image:
    seeds = list(dict.fromkeys(each.shot.seed for each in drawn))
    width, height = drawn[0].image.size
    grid = Image.new("RGB", (width * (1 + max(each.shot.number for each in drawn)), height * len(seeds)))
    for each in drawn:
        grid.paste(each.image, (width * each.shot.number, height * seeds.index(each.shot.seed)))
    return grid
