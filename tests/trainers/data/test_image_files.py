"""Pictures as trainers see them: 8-bit RGB, whatever they were saved as."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from trainers.data import dataset, image_files
from trainers.lora import sections


def saved(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (4, 1))
    content = saved(Image.fromarray(ramp))
    seen = np.asarray(image_files.upright(content))
    assert seen.shape == (4, 256, 3)
    assert np.array_equal(seen[0, :, 0], np.arange(256))
    assert image_files.inspect(content).remarks == ("16-bit grey, scaled to 8 bits",)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    content = saved(image.convert(mode) if mode != "P" else image.quantize())
    seen = image_files.upright(content)
    assert [seen.getpixel((at, 0)) for at in (0, 1)] == [(255, 255, 255), (0, 0, 0)]
    assert image_files.inspect(content).remarks == ("partly transparent, which becomes white",)


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    seen = image_files.upright(saved(Image.new("RGBA", (1, 1), (0, 0, 0, 128))))
    assert seen.getpixel((0, 0)) == (127, 127, 127)


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    content = saved(Image.new("RGBA", (1, 1), (9, 8, 7, 255)))
    assert image_files.upright(content).getpixel((0, 0)) == (9, 8, 7)
    assert image_files.inspect(content).remarks == ()


def test_a_wholly_transparent_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="wholly transparent"):
        image_files.inspect(saved(Image.new("RGBA", (4, 4), (9, 9, 9, 0))))


def test_the_trainer_sees_what_the_check_saw(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.png").write_bytes(saved(Image.new("RGBA", (8, 8), (0, 0, 0, 1))))
    (tmp_path / "x.txt").write_text("a cat", encoding="utf-8")
    facts = dataset.inspect(sections.Dataset(path=str(tmp_path)))
    assert facts.pictures[0].image().getpixel((0, 0)) == (254, 254, 254)
    assert facts.notes == ("1 image is partly transparent, which becomes white (x.png)",)
