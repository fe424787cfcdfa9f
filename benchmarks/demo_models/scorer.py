"""The scorer: a tiny open_clip model that tells whether a picture shows what its caption says.

Unlike the base model it knows the character by name, as a large CLIP knows what is famous; otherwise the name in a
validation prompt would mean any monster, and CLIP score could not tell the character from another one.
"""

import dataclasses
import json
import pathlib
import random

import numpy as np
import open_clip
import safetensors.torch
import torch
import transformers
from torch.nn import functional

from benchmarks.demo_models import pictures, training
from benchmarks.demo_models.drawn import drawing, world

CONTEXT_LENGTH = 24
BATCH = 128
GROUP = 16  # pictures that differ in one or two things only, so that these have to be told apart
PEAK_LEARNING_RATE = 1.5e-3
TEXT_CONFIG = {"context_length": CONTEXT_LENGTH, "width": 96, "heads": 3, "layers": 3}
VISION_CONFIG = {"image_size": 64, "layers": 4, "width": 128, "head_width": 32, "patch_size": 8}
EMBEDDING = 96

_WEIGHTS = "open_clip_model.safetensors"


def build(vocabulary: int) -> open_clip.CLIP:
    """An untrained scorer, 1.26 million parameters."""
    return open_clip.CLIP(
        embed_dim=EMBEDDING, vision_cfg=dict(VISION_CONFIG), text_cfg={**TEXT_CONFIG, "vocab_size": vocabulary}
    )


def train(
    tokenizer: transformers.CLIPTokenizer, steps: int, work: pathlib.Path, *, start: pathlib.Path | None, seed: int = 0
) -> open_clip.CLIP:
    """Train a scorer for `steps` batches of 128, from the folder `start` or from nothing."""
    torch.manual_seed(seed)
    model = build(len(tokenizer))
    if start is not None:
        weights = safetensors.torch.load_file(start / _WEIGHTS)
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05)

    def save() -> training.State:
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}

    def load(state: training.State) -> None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])

    stage = training.Stage("scorer", steps, work / "scorer.pt", save, load)
    for step in stage.steps():
        rng = random.Random(f"judge {seed} {step}")
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate(step, steps, PEAK_LEARNING_RATE, hold=0.0)
        pairs = batch(rng)
        images = blurred(pictures.to_tensor([pixels for pixels, _ in pairs]))
        captions = [caption for _, caption in pairs]
        loss = contrastive_loss(model, images, tokens(tokenizer, captions), captions)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        stage.observe(loss.item(), step)
    return model.eval()


def write(model: open_clip.CLIP, tokenizer: transformers.CLIPTokenizer, folder: pathlib.Path) -> None:
    """Write the scorer as a folder that open_clip loads with `local-dir:`, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / _WEIGHTS)
    text = {**TEXT_CONFIG, "vocab_size": len(tokenizer), "hf_tokenizer_name": "."}
    half = (0.5, 0.5, 0.5)
    config = {
        "model_cfg": {"embed_dim": EMBEDDING, "vision_cfg": VISION_CONFIG, "text_cfg": text},
        "preprocess_cfg": {"mean": half, "std": half, "interpolation": "bicubic", "resize_mode": "squash"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def tokens(tokenizer: transformers.CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """Token numbers of captions, (B, 24)."""
    encoded = tokenizer(captions, padding="max_length", max_length=CONTEXT_LENGTH, truncation=True, return_tensors="pt")
    numbers: torch.Tensor = encoded.input_ids
    return numbers


def contrastive_loss(
    model: open_clip.CLIP, images: torch.Tensor, text: torch.Tensor, captions: list[str]
) -> torch.Tensor:
    """CLIP's symmetric loss; pictures with the same caption are all right answers to it."""
    image_features = model.encode_image(images, normalize=True)
    text_features = model.encode_text(text, normalize=True)
    logits = model.logit_scale.exp().clamp(max=60) * image_features @ text_features.T
    number = {caption: index for index, caption in enumerate(dict.fromkeys(captions))}
    label = torch.tensor([number[caption] for caption in captions])
    same = (label[:, None] == label[None, :]).float()
    target = same / same.sum(dim=1, keepdim=True)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Soften, grain and tint pictures (B, 3, 64, 64), so that the softness of generated ones is nothing new."""
    count = len(images)
    soft = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = torch.rand(count, 1, 1, 1) * 0.9 * (torch.rand(count, 1, 1, 1) < 0.5)
    images = images * (1 - share) + soft * share
    images = images + torch.randn_like(images) * torch.rand(count, 1, 1, 1) * 0.08
    return images * (1 + 0.06 * torch.randn(count, 1, 1, 1)) + 0.04 * torch.randn(count, 3, 1, 1)


def batch(rng: random.Random) -> list[pictures.Pair]:
    """A quarter anything, the rest groups that are hard to tell apart, one of them around the character."""
    pairs = [
        pictures.nothing(rng) if rng.random() < 0.1 else pictures.subject(rng, monsters=0.4)
        for _ in range(BATCH - 6 * GROUP)
    ]
    for _ in range(4):
        pairs += _alike_shapes(rng)
    return pairs + _alike_monsters(rng) + _around_the_character(rng)


def _alike_shapes(rng: random.Random) -> list[pictures.Pair]:
    """Shapes of one colour on one background: only kind, place, size and what they wear differ."""
    color = rng.choice(tuple(drawing.COLORS))
    ground = world.random_scene(rng, color).background
    pairs = []
    for _ in range(GROUP):
        extra = rng.choice(("", "", *world.EXTRAS))
        subject = world.Shape(kind=rng.choice(drawing.SHAPES), color=color, extra=extra)
        scene = dataclasses.replace(world.random_scene(rng, color), background=ground, pattern="")
        pairs.append((np.asarray(world.draw_shape(subject, scene, rng)), world.shape_caption(subject, scene)))
    return pairs


def _alike_monsters(rng: random.Random) -> list[pictures.Pair]:
    """Monsters on one background."""
    ground = rng.choice(tuple(drawing.COLORS))
    pairs = []
    for _ in range(GROUP):
        subject = world.random_monster(rng)
        scene = dataclasses.replace(world.random_scene(rng, subject.color), background=ground)
        caption = pictures.describe_monster(subject, scene, rng)
        pairs.append((np.asarray(world.draw_monster(subject, scene, rng)), caption))
    return pairs


def _around_the_character(rng: random.Random) -> list[pictures.Pair]:
    """The character, monsters that differ from it in one to three features, and other monsters; one background."""
    ground = rng.choice([color for color in drawing.COLORS if color != world.CHARACTER.color])
    pairs = []
    for index in range(GROUP):
        scene = dataclasses.replace(world.random_scene(rng, world.CHARACTER.color), background=ground)
        if index < 5:
            subject = dataclasses.replace(world.CHARACTER, hat=rng.random() < 0.1)
            named = rng.random() < 0.8
            name = world.named_monster_caption(world.CHARACTER_NAME, subject, scene)
            caption = name if named else world.full_monster_caption(subject, scene)
        else:
            subject = _near_miss(rng) if index < 12 else world.random_monster(rng)
            caption = pictures.describe_monster(subject, scene, rng)
        pairs.append((np.asarray(world.draw_monster(subject, scene, rng)), caption))
    return pairs


def _near_miss(rng: random.Random) -> world.Monster:
    """The character with one to three of its features taken from another monster."""
    while True:
        other = world.random_monster(rng)
        features = rng.sample(("body", "color", "belly", "eyes", "top", "feet"), rng.choice((1, 1, 2, 3)))
        changed = dataclasses.replace(world.CHARACTER, **{feature: getattr(other, feature) for feature in features})
        if changed not in (world.CHARACTER,) and changed.belly != changed.color:
            return changed
