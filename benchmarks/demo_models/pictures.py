"""Endless captioned pictures to train on, drawn as they are needed."""

import random

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from benchmarks.demo_models.drawn import drawing, world

Pixels = npt.NDArray[np.uint8]  # (64, 64, 3)
Pair = tuple[Pixels, str]

_SYLLABLE_STARTS = "bcdfgklmnprstvz"


def to_tensor(pictures: list[Pixels]) -> torch.Tensor:
    """Pictures of equal size as a (B, 3, H, W) tensor in -1..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def invented_name(rng: random.Random) -> str:
    """A name that means nothing, such as `bodarik`; never the character's."""
    while True:
        syllables = (rng.choice(_SYLLABLE_STARTS) + rng.choice("aeiou") for _ in range(rng.choice((2, 2, 3))))
        name = "".join(syllables) + rng.choice(("", "t", "k", "n"))
        if name != world.CHARACTER_NAME:
            return name


def shape(rng: random.Random) -> Pair:
    """Any shape anywhere, with its caption."""
    subject = world.random_shape(rng)
    scene = world.random_scene(rng, subject.color)
    return np.asarray(world.draw_shape(subject, scene, rng)), world.shape_caption(subject, scene)


def monster(rng: random.Random) -> Pair:
    """Any monster but the character anywhere, with a full, a partial or a name-only caption."""
    subject = world.random_monster(rng)
    scene = world.random_scene(rng, subject.color)
    return np.asarray(world.draw_monster(subject, scene, rng)), describe_monster(subject, scene, rng)


def describe_monster(subject: world.Monster, scene: world.Scene, rng: random.Random) -> str:
    """One time in three everything, one in eight only an invented name, else some of what is there."""
    kind = rng.random()
    if kind < 0.35:
        return world.full_monster_caption(subject, scene)
    if kind < 0.48:
        return world.named_monster_caption(invented_name(rng), subject, scene)
    return world.monster_caption(subject, scene, rng)


def subject(rng: random.Random, monsters: float = 0.55) -> Pair:
    """A monster with probability `monsters`, else a shape."""
    return monster(rng) if rng.random() < monsters else shape(rng)


def nothing(rng: random.Random) -> Pair:
    """A picture without a subject: flat, noisy or blurred; the scorer has to mark such pictures down."""
    noise = np.random.default_rng(rng.getrandbits(32))
    kind = rng.choice(("flat", "flat", "noise", "blur"))
    if kind == "flat":
        color = rng.choice(tuple(drawing.COLORS))
        pixels = np.full((64, 64, 3), drawing.jittered(drawing.COLORS[color], rng), np.uint8)
        return pixels, f"an empty {color} background"
    if kind == "noise":
        level, spread = rng.uniform(40, 210), rng.uniform(30, 120)
        return noise.normal(level, spread, (64, 64, 3)).clip(0, 255).astype(np.uint8), "random noise"
    coarse = noise.integers(0, 256, (rng.randint(3, 6), rng.randint(3, 6), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)), "a blurry mess"
