"""One picture file: decoded whole, turned upright, in 8-bit RGB, with a word on whatever that changed. Torch-free.

What is transparent becomes white: a picture's hidden colours are what an editor left there, often black (sd-scripts
drops the channel and trains on them). 16-bit grey is scaled to 8 bits; Pillow's own conversion would cut it off at 255.
"""

import dataclasses
import hashlib
import io
import warnings
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from PIL import Image

#: what is read; other pictures in a data set are named, never left out in silence
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
UNREAD_SUFFIXES = (
    *(".gif", ".heic", ".heif", ".avif", ".tif", ".tiff", ".jxl", ".jp2", ".j2k", ".jfif", ".psd", ".svg", ".ico"),
    *(".tga", ".ppm", ".pgm", ".exr", ".hdr", ".dds", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".mp4", ".webm"),
)
MOST_BYTES = 512 * 2**20
#: Pillow's own limit for what it calls a decompression bomb
MOST_PIXELS = 178_956_970
_TOO_LARGE = f"holds more than {MOST_PIXELS:,} pixels; make it smaller"


@dataclasses.dataclass(frozen=True)
class Seen:
    """A picture that was decoded to its last pixel. `remarks` name what reading it changed."""

    width: int
    height: int
    sha256: str
    remarks: tuple[str, ...]


def inspect(content: bytes) -> Seen:
    """Decode a picture.

    Raises:
        Exception: whatever Pillow's decoders raise (OSError, SyntaxError, ValueError, struct.error), or ValueError for
            a picture that no one trains with.
    """
    image, remarks = _decode(content)
    return Seen(*image.size, hashlib.sha256(content).hexdigest(), remarks)


def upright(content: bytes) -> "Image.Image":
    """The picture itself: 8-bit RGB, turned upright."""
    return _decode(content)[0]


def _decode(content: bytes) -> "tuple[Image.Image, tuple[str, ...]]":
    from PIL import Image, ImageOps  # noqa: PLC0415  (importing the module must stay quick)

    remarks = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters of them is said below, in words
        try:
            opened = Image.open(io.BytesIO(content))
        except Image.DecompressionBombError:
            raise ValueError(_TOO_LARGE) from None
        with opened as image:
            if image.size[0] * image.size[1] > MOST_PIXELS:
                raise ValueError(_TOO_LARGE)
            if getattr(image, "n_frames", 1) > 1:
                remarks.append("animated, of which the first frame is read")
            turned = ImageOps.exif_transpose(image)
            if turned.mode.startswith("I") or turned.mode == "F":
                remarks.append("16-bit grey, scaled to 8 bits")
                return _scaled(turned), tuple(remarks)
            if turned.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in turned.info:
                return _on_white(turned.convert("RGBA"), remarks), tuple(remarks)
            return turned.convert("RGB"), tuple(remarks)


def _on_white(image: "Image.Image", remarks: list[str]) -> "Image.Image":
    from PIL import Image  # noqa: PLC0415

    least, most = cast("tuple[int, int]", image.getchannel("A").getextrema())
    if most == 0:
        raise ValueError("is wholly transparent; take it out of the data set")
    if least < 255:
        remarks.append("partly transparent, which becomes white")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    white.alpha_composite(image)
    return white.convert("RGB")


def _scaled(image: Any) -> "Image.Image":
    """16-bit grey as 8-bit RGB: 65535 is white."""
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    values = np.asarray(image).astype(float)
    eight_bit = np.clip(np.round(values / 257), 0, 255).astype(np.uint8)
    return Image.fromarray(eight_bit).convert("RGB")
