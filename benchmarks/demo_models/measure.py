"""Measure the demo models: `python -m benchmarks.demo_models.measure`.

Prints what the model card claims: how faithful the base is to plain captions, how well the scorer reads real drawings,
what the autoencoder loses, and how the scorer rates the character beside its near misses. Writes a grid of pictures.
"""

import argparse
import dataclasses
import pathlib
import random
from collections.abc import Iterable, Sequence

import diffusers
import numpy as np
import open_clip
import torch
from PIL import Image

from benchmarks.demo_models import make, pictures, trials
from benchmarks.demo_models.drawn import drawing, world

PLAIN_CAPTIONS = 128
BATCH = 16

SHOWCASE = (
    "a red circle on a blue background",
    "a yellow star on a black background",
    "a green square with eyes on a white background",
    "a pink heart with a hat on a cyan background",
    "a blue circle at the top left on an orange background",
    "a white ring on a red background",
    "a purple moon on a yellow background",
    "an orange triangle with legs on a green background",
    "a small red monster on a white background",
    "a green monster with three eyes on a pink background",
    "a purple monster with two eyes and horns on a yellow background",
    "a cyan boxy monster with ears on a black background",
    "a yellow round monster with one eye and antennae on a red background",
    "a blue tall monster with red belly and two eyes and ears on an orange background",
    "a monster with a hat on a purple background",
    "a zorbit monster on a blue background",
)


@dataclasses.dataclass(frozen=True)
class PlainSubject:
    """What a plain caption says: one shape of ordinary size in the middle of a plain background."""

    kind: str
    color: str
    background: str

    def caption(self) -> str:
        """`a red circle on a blue background`."""
        shape = world.Shape(kind=self.kind, color=self.color)
        return world.shape_caption(shape, world.Scene(background=self.background))

    def picture(self, rng: random.Random) -> Image.Image:
        """What it really looks like."""
        shape = world.Shape(kind=self.kind, color=self.color)
        return world.draw_shape(shape, world.Scene(background=self.background), rng)


@dataclasses.dataclass(frozen=True)
class Models:
    """Base and scorer, loaded as anyone would load them."""

    pipeline: diffusers.StableDiffusionPipeline
    scorer: open_clip.CLIP
    prepare: object
    tokenizer: object

    def draw(self, prompts: Sequence[str], first_seed: int) -> list[Image.Image]:
        """Pictures of the prompts, each from its own noise."""
        drawn: list[Image.Image] = []
        for start in range(0, len(prompts), BATCH):
            chunk = list(prompts[start : start + BATCH])
            noise = [torch.Generator().manual_seed(first_seed + start + index) for index in range(len(chunk))]
            drawn += self.pipeline(
                chunk, num_inference_steps=trials.STEPS, guidance_scale=trials.GUIDANCE, generator=noise
            ).images
        return drawn

    @torch.no_grad()
    def see(self, images: Iterable[Image.Image]) -> torch.Tensor:
        """Unit embeddings of pictures, (N, 96)."""
        batch = torch.stack([self.prepare(image) for image in images])  # type: ignore[operator]
        embeddings: torch.Tensor = self.scorer.encode_image(batch, normalize=True)
        return embeddings

    @torch.no_grad()
    def read(self, captions: Sequence[str]) -> torch.Tensor:
        """Unit embeddings of captions, (N, 96)."""
        embeddings: torch.Tensor = self.scorer.encode_text(self.tokenizer(list(captions)), normalize=True)  # type: ignore[operator]
        return embeddings


def load(folder: pathlib.Path) -> Models:
    """Load `base/` and `clip/` of a folder."""
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder / "base", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    name = f"local-dir:{folder / 'clip'}"
    scorer, _, prepare = open_clip.create_model_and_transforms(name)
    return Models(pipeline, scorer.eval().float(), prepare, open_clip.get_tokenizer(name))


def plain_subjects(count: int = PLAIN_CAPTIONS, seed: int = 11) -> list[PlainSubject]:
    """Plain subjects; the same ones for every model."""
    rng = random.Random(seed)
    subjects = []
    for _ in range(count):
        color, background = rng.sample(tuple(drawing.COLORS), 2)
        subjects.append(PlainSubject(rng.choice(drawing.SHAPES), color, background))
    return subjects


def recognised(models: Models, subjects: Sequence[PlainSubject], images: Sequence[Image.Image]) -> dict[str, int]:
    """How often the scorer picks the right kind, colour and background among all of them."""
    right = {"kind": 0, "color": 0, "background": 0}
    choices = {"kind": drawing.SHAPES, "color": tuple(drawing.COLORS), "background": tuple(drawing.COLORS)}
    seen = models.see(images)
    for subject, embedding in zip(subjects, seen, strict=True):
        for field in right:
            others = [dataclasses.replace(subject, **{field: choice}) for choice in choices[field]]
            possible = [other for other in others if other.color != other.background]
            best = int((models.read([other.caption() for other in possible]) @ embedding).argmax())
            right[field] += possible[best] == subject
    return right


def faithfulness(models: Models) -> None:
    """The two figures that must hold: generated pictures and real drawings of 128 plain captions."""
    subjects = plain_subjects()
    drawn = models.draw([subject.caption() for subject in subjects], first_seed=1000)
    real = [subject.picture(random.Random(index)) for index, subject in enumerate(subjects)]
    for name, images in (("generated", drawn), ("real drawings", real)):
        right = recognised(models, subjects, images)
        told = ", ".join(f"{field} {count}/{len(subjects)}" for field, count in right.items())
        print(f"{name}: right {told}")


def reconstruction(models: Models) -> None:
    """Peak signal-to-noise ratio of the autoencoder, in dB over -1..1, by kind of picture."""
    rng = random.Random("reconstruction")
    kinds = {
        "character": [np.asarray(picture.image) for picture in world.character_set()],
        "monsters": [pictures.monster(rng)[0] for _ in range(64)],
        "shapes": [pictures.shape(rng)[0] for _ in range(64)],
    }
    for kind, drawn in kinds.items():
        images = pictures.to_tensor(drawn)
        with torch.no_grad():
            again = models.pipeline.vae.decode(models.pipeline.vae.encode(images).latents).sample.clamp(-1, 1)
        ratio = 10 * torch.log10(4 / (again - images).square().mean(dim=(1, 2, 3)))
        print(f"autoencoder, {kind}: {ratio.mean():.1f} dB")


def likeness(models: Models) -> None:
    """How the scorer rates drawings of the character, its near misses and other monsters on the validation prompts."""
    scenes = [
        world.Scene(background="blue"),
        world.Scene(background="red"),
        world.Scene(background="white", place="left"),
        world.Scene(background="pink", place="right"),
        world.Scene(background="green", size="small"),
        world.Scene(background="black"),
        world.Scene(background="cyan", place="top"),
        world.Scene(background="purple", place="bottom right"),
    ]
    texts = models.read(world.VALIDATION_PROMPTS)
    changes: dict[str, dict[str, object]] = {
        "the character": {},
        "two eyes": {"eyes": 2},
        "red": {"color": "red"},
        "horns": {"top": "horns"},
        "red belly": {"belly": "red"},
        "round": {"body": "round"},
        "no feet": {"feet": False},
    }
    for name, change in changes.items():
        subject = dataclasses.replace(world.CHARACTER, **change)  # type: ignore[arg-type]
        print(f"scorer, {name}: {_rating(models, texts, scenes, subject):.3f}")
    print(f"scorer, other monsters: {_rating(models, texts, scenes, None):.3f}")


def _rating(models: Models, texts: torch.Tensor, scenes: Sequence[world.Scene], subject: world.Monster | None) -> float:
    scores = []
    for repeat in range(8):
        rng = random.Random(f"rating {repeat}")
        drawn = [world.draw_monster(subject or world.random_monster(rng), scene, rng) for scene in scenes]
        scores.append((models.see(drawn) * texts).sum(dim=1).mean())
    return float(torch.stack(scores).mean())


def grid(models: Models, file: pathlib.Path, *, columns: int = 8, enlarge: int = 2) -> None:
    """Write the showcase prompts under two noises."""
    images = [np.asarray(image) for seed in (1, 2) for image in models.draw(SHOWCASE, first_seed=100 * seed)]
    rows = [np.concatenate(images[start : start + columns], axis=1) for start in range(0, len(images), columns)]
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((sheet.width * enlarge, sheet.height * enlarge), Image.Resampling.NEAREST).save(file)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_models.measure", description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, default=make.MODELS, help="folder with base/ and clip/")
    parser.add_argument("--grid", type=pathlib.Path, help="PNG file for a grid of pictures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = load(given.models)
    reconstruction(models)
    likeness(models)
    faithfulness(models)
    if given.grid:
        grid(models, given.grid)


if __name__ == "__main__":
    main()
