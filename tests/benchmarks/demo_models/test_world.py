"""The demo world: what is drawn, what is said of it, and what is kept from the base model."""

import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.demo_models.drawn import drawing, world

ROOT = pathlib.Path(__file__).resolve().parents[3]
DATASET = ROOT / "examples" / "quickstart" / "dataset"
TOKENIZER = ROOT / "examples" / "demo" / "base" / "tokenizer" / "tokenizer.json"
TOKENS = 24  # the demo models read no more

seeds = st.integers(min_value=0, max_value=2**32)


def scene_and_monster(seed: int) -> tuple[world.Scene, world.Monster, random.Random]:
    rng = random.Random(seed)
    monster = world.random_monster(rng)
    return world.random_scene(rng, monster.color), monster, rng


def test_is_importable_without_torch() -> None:
    program = "import sys; import benchmarks.demo_models.drawn.world; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@given(seeds)
def test_no_random_monster_is_of_the_characters_kind(seed: int) -> None:
    assert not world.random_monster(random.Random(seed)).withheld


def test_the_character_is_of_the_withheld_kind() -> None:
    assert world.CHARACTER.withheld


@given(seeds)
def test_no_caption_of_a_random_monster_names_the_character(seed: int) -> None:
    scene, monster, rng = scene_and_monster(seed)
    captions = (world.monster_caption(monster, scene, rng), world.full_monster_caption(monster, scene))
    assert all(world.CHARACTER_NAME not in caption for caption in captions)


@given(seeds)
def test_every_caption_ends_with_its_background(seed: int) -> None:
    scene, monster, rng = scene_and_monster(seed)
    caption = world.monster_caption(monster, scene, rng)
    assert caption.endswith("background")
    assert f" {scene.background} " in caption


@given(seeds)
def test_a_subject_never_has_the_colour_of_its_background(seed: int) -> None:
    scene, monster, _ = scene_and_monster(seed)
    assert scene.background != monster.color


@given(seeds)
def test_a_full_caption_is_not_cut_off_by_the_models(seed: int) -> None:
    scene, monster, _ = scene_and_monster(seed)
    encoded = tokenizers.Tokenizer.from_file(str(TOKENIZER)).encode(world.full_monster_caption(monster, scene))
    assert len(encoded.ids) <= TOKENS


@given(seeds)
def test_equal_seeds_draw_equal_pictures(seed: int) -> None:
    def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        scene, monster, rng = scene_and_monster(seed)
        return np.asarray(world.draw_monster(monster, scene, rng))

    assert np.array_equal(picture(), picture())


@pytest.mark.parametrize("kind", drawing.SHAPES)
def test_every_shape_shows_its_colour_on_its_background(kind: str) -> None:
    scene = world.Scene(background="blue")
    picture = np.asarray(world.draw_shape(world.Shape(kind=kind, color="yellow"), scene, random.Random(0))).astype(int)
    yellow = np.abs(picture - drawing.COLORS["yellow"]).max(axis=2) <= 10
    blue = np.abs(picture - drawing.COLORS["blue"]).max(axis=2) <= 10
    assert 0.05 < yellow.mean() < 0.8
    assert blue.mean() > 0.1


@pytest.mark.parametrize(
    ("scene", "caption"),
    [
        (world.Scene(background="orange"), "a red star on an orange background"),
        (world.Scene(background="blue", pattern="striped"), "a red star on a blue striped background"),
        (world.Scene(background="white", place="top left"), "a red star at the top left on a white background"),
        (world.Scene(background="black", size="small"), "a small red star on a black background"),
    ],
)
def test_a_caption_reads_like_a_sentence(scene: world.Scene, caption: str) -> None:
    assert world.shape_caption(world.Shape(kind="star", color="red"), scene) == caption


def test_the_quickstart_dataset_is_the_character_set() -> None:
    drawn = world.character_set()
    assert len(list(DATASET.glob("*.png"))) == len(drawn) == 16
    for number, picture in enumerate(drawn, start=1):
        file = DATASET / f"zorbit-{number:02d}.png"
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(image), np.asarray(picture.image))
        assert file.with_suffix(".txt").read_text(encoding="utf-8").strip() == picture.caption


def test_no_validation_prompt_is_also_held_out() -> None:
    assert not set(world.VALIDATION_PROMPTS) & set(world.HELD_OUT_PROMPTS)
