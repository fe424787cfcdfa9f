import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.data import buckets, dataset, layouts, showings
from trainers.lora import settings

SIDES = st.integers(min_value=16, max_value=6000)


def test_without_buckets_every_image_is_a_square() -> None:
    assert buckets.training_size(640, 480, 512, None) == (512, 512)


def test_known_aspect_ratios_find_their_usual_buckets() -> None:
    assert buckets.training_size(1000, 1000, 1024, 64) == (1024, 1024)
    assert buckets.training_size(1920, 1080, 1024, 64) == (1344, 768)
    assert buckets.training_size(1080, 1920, 1024, 64) == (768, 1344)


@given(width=SIDES, height=SIDES, resolution=st.sampled_from([64, 512, 1024]))
def test_buckets_keep_to_the_area_and_to_multiples(width: int, height: int, resolution: int) -> None:
    chosen = buckets.training_size(width, height, resolution, 64)
    assert chosen[0] * chosen[1] <= resolution**2
    assert chosen[0] % 64 == chosen[1] % 64 == 0
    assert min(chosen) > 0


@given(width=SIDES, height=SIDES)
def test_a_turned_image_gets_the_turned_bucket(width: int, height: int) -> None:
    wide, tall = buckets.training_size(width, height, 512, 64), buckets.training_size(height, width, 512, 64)
    assert tall == (wide[1], wide[0])


def test_repeats_are_counted_and_batches_hold_one_size() -> None:
    trial = settings.lora_settings({"enable_bucket": True}, seed=0)
    pictures = [
        dataset.TrainingImage(layouts.Place(pathlib.Path(f"{number}.png")), "", repeats, "", width, 512)
        for number, (repeats, width) in enumerate([(3, 512), (1, 512), (2, 1024)])
    ]
    groups = buckets.group(pictures, trial, 512)
    assert sorted(len(members) for members in groups.values()) == [2, 4]
    assert buckets.batches_per_epoch(map(len, groups.values()), 3) == 3


@pytest.mark.parametrize(
    ("size", "resolution", "ours", "theirs"),
    [
        ((512, 512), 512, (512, 512), (512, 512)),
        ((448, 576), 512, (448, 576), (448, 576)),
        ((1800, 560), 512, (832, 256), (832, 256)),
        ((1000, 1000), 1000, (1024, 960), (960, 960)),
        ((300, 833), 512, (320, 768), (256, 832)),
        ((337, 382), 512, (512, 512), (448, 576)),
    ],
)
def test_sd_scripts_choice_is_its_own(
    size: showings.Size, resolution: int, ours: showings.Size, theirs: showings.Size
) -> None:
    """As its BucketManager answered, asked with the smallest side 64 and the largest twice the resolution."""
    assert buckets.training_size(*size, resolution, 64) == ours
    assert buckets.sd_scripts_size(*size, resolution, 64) == theirs
