import pathlib
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from trainers.bases import latents, models
from trainers.data import dataset
from trainers.lora import sections, settings


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> models.Base:
    return models.load("demo", "no", torch.device("cpu"), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def pictures(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, size in {"wide": (128, 64), "tall": (64, 128), "square": (64, 64)}.items():
        gradient = Image.linear_gradient("L").resize(size).rotate(90 if name == "wide" else 0)
        Image.merge("RGB", (gradient, gradient, Image.new("L", size, 90))).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"a {name} picture")
    return folder


def prepare(base: models.Base, folder: pathlib.Path, cache: pathlib.Path, **params: Any) -> latents.Examples:
    described = sections.Dataset(path=str(folder), repeats=params.pop("repeats", 1), flip=params.pop("flip", False))
    facts = dataset.inspect(described)
    return latents.prepare(base, facts, settings.lora_settings(params, 0), cache, flip=described.flip)


def test_buckets_keep_sizes_apart(base: models.Base, pictures: pathlib.Path, tmp_path: pathlib.Path) -> None:
    examples = prepare(base, pictures, tmp_path, enable_bucket=True, bucket_reso_steps=16)
    assert sorted(tuple(shelf.mean.shape[-2:]) for shelf in examples.shelves) == [(6, 10), (8, 8), (10, 6)]
    squares = prepare(base, pictures, tmp_path)
    assert [tuple(shelf.mean.shape) for shelf in squares.shelves] == [(3, 1, 8, 8, 8)]


def test_flipped_latents_are_those_of_the_flipped_picture(
    base: models.Base, pictures: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    plain = prepare(base, pictures, tmp_path, flip=True)
    for path in pictures.glob("*.png"):
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    turned = prepare(base, pictures, tmp_path, flip=True)
    torch.testing.assert_close(plain.shelves[0].mean[:, 1], turned.shelves[0].mean[:, 0])


def test_an_edited_picture_is_encoded_again(base: models.Base, pictures: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = prepare(base, pictures, tmp_path).shelves[0].mean
    assert torch.equal(prepare(base, pictures, tmp_path).shelves[0].mean, before)
    Image.new("RGB", (64, 64), (9, 9, 200)).save(pictures / "square.png")
    after = prepare(base, pictures, tmp_path).shelves[0].mean
    assert [bool(torch.equal(one, other)) for one, other in zip(before, after, strict=True)] == [False, True, True]


def test_captions_are_encoded_as_the_pipeline_does(base: models.Base, tmp_path: pathlib.Path) -> None:
    encoded = latents.encode_captions(base, ["a red circle", ""], tmp_path)
    expected, _ = base.pipeline.encode_prompt(["a red circle", ""], "cpu", 1, False)
    torch.testing.assert_close(encoded.hidden, expected)
    again = latents.encode_captions(base, ["", "a red circle"], tmp_path)
    torch.testing.assert_close(again.hidden, expected.flip(0))


def test_sdxl_captions_are_encoded_as_the_pipeline_does(sdxl_folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    sdxl = models.load(str(sdxl_folder), "no", torch.device("cpu"), tmp_path)
    encoded = latents.encode_captions(sdxl, ["a red circle"], tmp_path)
    hidden, _, pooled, _ = sdxl.pipeline.encode_prompt("a red circle", do_classifier_free_guidance=False)
    torch.testing.assert_close(encoded.hidden, hidden)
    torch.testing.assert_close(encoded.pooled, pooled)


def shelf(rows: int) -> latents.Shelf:
    empty = torch.empty(0)
    return latents.Shelf(tuple(range(rows)), empty, None, empty, empty)


@hypothesis_settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4), batch=st.integers(1, 7), seed=st.integers(0, 99))
def test_an_epoch_shows_every_row_once_in_batches_of_one_shelf(sizes: list[int], batch: int, seed: int) -> None:
    examples = latents.Examples(tuple(shelf(size) for size in sizes), (), 1)
    batches = examples.epoch(batch, seed, 3)
    assert len(batches) == examples.batches_per_epoch(batch)
    for number, size in enumerate(sizes):
        rows = [row for chosen, rows in batches if chosen == number for row in rows.tolist()]
        assert sorted(rows) == list(range(size))
    again = examples.epoch(batch, seed, 3)
    assert [(one, rows.tolist()) for one, rows in batches] == [(one, rows.tolist()) for one, rows in again]
