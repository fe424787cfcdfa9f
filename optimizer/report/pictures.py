"""Small copies of pictures, as data URIs."""

import base64
import io

from PIL import Image, UnidentifiedImageError


def thumbnail(content: bytes, edge: int) -> str | None:
    """A WebP copy whose longer side is at most `edge` pixels; None where the bytes are no picture."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            small = image.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None
    small.thumbnail((edge, edge), Image.Resampling.BOX if max(small.size) > 4 * edge else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=88, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
