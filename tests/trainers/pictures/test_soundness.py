import numpy
import pytest
import torch
from PIL import Image

from trainers.contract import job
from trainers.pictures import soundness

SOUND = torch.zeros(4, 8, 8)


def picture(array: numpy.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(numpy.float32) / 255).permute(2, 0, 1)


def failure(pixels: torch.Tensor, latent: torch.Tensor = SOUND) -> str | None:
    return soundness.failure(latent, pixels, job.Thresholds())


def noise(low: int, high: int) -> numpy.ndarray:
    return numpy.random.default_rng(0).integers(low, high, (64, 64, 3))


def test_ordinary_pictures_are_sound() -> None:
    assert failure(picture(noise(0, 256))) is None
    assert failure(picture(noise(0, 40))) is None  # dark on purpose
    night = numpy.zeros((64, 64, 3))
    night[20:40, 20:40] = 200  # a light in the dark
    assert failure(picture(night)) is None
    plain = numpy.full((64, 64, 3), 250)
    plain[20:40, 20:40] = (20, 40, 200)  # a thing on white
    assert failure(picture(plain)) is None


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (picture(numpy.zeros((64, 64, 3))), "black-images"),
        (picture(noise(0, 4)), "black-images"),
        (picture(numpy.full((64, 64, 3), 128)), "flat-images"),
        (picture(noise(100, 110)), "flat-images"),
        (picture(255 * (noise(0, 2))), "saturated-images"),
        (torch.full((3, 64, 64), torch.nan), "nonfinite-pixels"),
        (torch.full((3, 64, 64), torch.inf), "nonfinite-pixels"),
    ],
)
def test_each_kind_of_broken_picture_is_told_apart(pixels: torch.Tensor, kind: str) -> None:
    assert failure(pixels) == kind


def test_one_broken_value_is_found_before_the_cast_to_eight_bit() -> None:
    pixels = picture(noise(0, 256))
    pixels[1, 2, 3] = torch.nan
    assert failure(pixels) == "nonfinite-pixels"
    latent = SOUND.clone()
    latent[0, 0, 0] = torch.inf
    assert failure(picture(noise(0, 256)), latent) == "nonfinite-latents"


def test_a_picture_survives_the_cast() -> None:
    array = noise(0, 256).astype(numpy.uint8)
    assert numpy.array_equal(numpy.asarray(soundness.image(picture(array))), array)
    broken = soundness.image(torch.full((3, 4, 4), torch.nan))
    assert isinstance(broken, Image.Image)
    assert numpy.asarray(broken).max() == 0
