"""How many pictures go through a model at a time, so that memory is bounded whatever their size. Torch-free."""

#: pixels that are drawn at a time (16 pictures of 512 x 512), and pictures at most
DRAWN_PIXELS, MOST_DRAWN = 16 * 512 * 512, 32
#: pixels that the VAE, which is kept in float32, encodes or decodes at a time (4 pictures of 512 x 512)
ENCODED_PIXELS, MOST_ENCODED = 4 * 512 * 512, 8


def drawn(side: int) -> int:
    """Pictures of `side` x `side` pixels that are drawn at a time."""
    return _portion(DRAWN_PIXELS, MOST_DRAWN, side * side)


def decoded(side: int) -> int:
    """Pictures of `side` x `side` pixels that are decoded at a time."""
    return _portion(ENCODED_PIXELS, MOST_DRAWN, side * side)


def encoded(width: int, height: int) -> int:
    """Pictures of this size that are encoded at a time."""
    return _portion(ENCODED_PIXELS, MOST_ENCODED, width * height)


def _portion(pixels: int, most: int, each: int) -> int:
    return max(1, min(most, pixels // each))
