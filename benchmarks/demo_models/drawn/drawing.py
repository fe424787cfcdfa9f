"""How the demo's pictures are drawn: backgrounds, shapes and monsters, with Pillow alone.

Everything is drawn at twice the size and reduced, so that edges are smooth. Centre (`x`, `y`) and `radius` are in
pixels of that larger canvas; colours are (red, green, blue) in 0..255.
"""

import math
import random

from PIL import ImageDraw

PICTURE_SIZE = 64  # pixels a side of a finished picture
SUPERSAMPLING = 2
CANVAS_SIZE = PICTURE_SIZE * SUPERSAMPLING

Color = tuple[int, int, int]
Point = tuple[float, float]

COLORS: dict[str, Color] = {
    "red": (220, 40, 40),
    "green": (50, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (245, 215, 50),
    "purple": (140, 50, 180),
    "orange": (245, 140, 30),
    "pink": (250, 150, 195),
    "cyan": (60, 210, 225),
    "white": (245, 245, 245),
    "black": (25, 25, 25),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring", "moon", "hexagon")

_BROWN = (90, 55, 25)
_LEG = (70, 45, 25)
_HORN = (235, 225, 190)
_EYE_WHITE = (250, 250, 250)
_PUPIL = (15, 15, 15)
_MOUTH = (20, 20, 20)
# number of eyes -> (their centres in radii from the middle, their radius in radii)
_EYES = {1: ((0.0,), 0.42), 2: ((-0.42, 0.42), 0.26), 3: ((-0.6, 0.0, 0.6), 0.22)}


def jittered(color: Color, rng: random.Random, amount: int = 8) -> Color:
    """The colour, each channel moved by up to `amount`: the same name never looks exactly the same."""
    red, green, blue = (max(0, min(255, channel + rng.randint(-amount, amount))) for channel in color)
    return red, green, blue


def background(draw: ImageDraw.ImageDraw, color: Color, pattern: str, rng: random.Random) -> None:
    """Fill the canvas; `pattern` is `striped`, `dotted` or empty."""
    draw.rectangle((0, 0, CANVAS_SIZE, CANVAS_SIZE), fill=color)
    second = _darker(color) if sum(color) > 200 else _lighter(color)
    if pattern == "striped":
        for left in range(-16 + rng.randint(0, 15), CANVAS_SIZE, 32):
            draw.rectangle((left, 0, left + 14, CANVAS_SIZE), fill=second)
    elif pattern == "dotted":
        start = rng.randint(0, 12)
        for y in range(start, CANVAS_SIZE + 8, 25):
            for x in range(start, CANVAS_SIZE + 8, 25):
                _disc(draw, x, y, 5, second)


def shape(
    draw: ImageDraw.ImageDraw, kind: str, x: float, y: float, radius: float, *, color: Color, behind: Color
) -> None:
    """Draw one of `SHAPES`; `behind` is the background's colour, which rings and moons are cut out with."""
    if kind == "circle":
        _disc(draw, x, y, radius, color)
    elif kind == "square":
        half = 0.86 * radius
        draw.rectangle((x - half, y - half, x + half, y + half), fill=color)
    elif kind == "cross":
        arm = 0.34 * radius
        draw.rectangle((x - arm, y - radius, x + arm, y + radius), fill=color)
        draw.rectangle((x - radius, y - arm, x + radius, y + arm), fill=color)
    elif kind == "ring":
        _disc(draw, x, y, radius, color)
        _disc(draw, x, y, 0.52 * radius, behind)
    elif kind == "moon":
        _disc(draw, x, y, radius, color)
        _disc(draw, x + 0.5 * radius, y, 0.85 * radius, behind)
    else:
        draw.polygon([(x + radius * px, y + radius * py) for px, py in _OUTLINES[kind]], fill=color)


def eyes(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, count: int = 2) -> None:
    """Draw one to three eyes in a row around (x, y)."""
    centres, size = _EYES[count]
    for centre in centres:
        _disc(draw, x + centre * radius, y, size * radius, _EYE_WHITE)
        _disc(draw, x + centre * radius, y, 0.5 * size * radius, _PUPIL)


def hat(draw: ImageDraw.ImageDraw, x: float, top: float, radius: float) -> None:
    """Draw a brown hat whose brim lies at `top`."""
    brim, crown = 0.62 * radius, 0.36 * radius
    draw.rectangle((x - brim, top - 0.12 * radius, x + brim, top + 0.06 * radius), fill=_BROWN)
    draw.rectangle((x - crown, top - 0.62 * radius, x + crown, top - 0.1 * radius), fill=_BROWN)


def legs(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """Draw two legs below (x, y); the body is drawn over them afterwards."""
    for side in (-0.4, 0.4):
        left, right = x + (side - 0.1) * radius, x + (side + 0.1) * radius
        draw.rectangle((left, y + 0.3 * radius, right, y + 1.35 * radius), fill=_LEG)


def monster(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    radius: float,
    *,
    body: str,
    color: Color,
    belly: Color,
    eye_count: int,
    top: str,
    feet: bool,
    mouth: bool,
) -> None:
    """Draw a monster: `body` is round, boxy or tall; `top` is horns, antennae, ears or empty."""
    if feet:
        for side in (-0.45, 0.45):
            centre = x + side * radius
            box = (centre - 0.3 * radius, y + 0.75 * radius, centre + 0.3 * radius, y + 1.15 * radius)
            draw.ellipse(box, fill=_darker(color))
    _monster_top(draw, x, y, radius, top=top, color=color, belly=belly)
    if body == "round":
        _disc(draw, x, y, radius, color)
    elif body == "boxy":
        box = (x - 0.9 * radius, y - 0.9 * radius, x + 0.9 * radius, y + 0.95 * radius)
        draw.rounded_rectangle(box, 0.25 * radius, fill=color)
    else:
        box = (x - 0.7 * radius, y - radius, x + 0.7 * radius, y + radius)
        draw.rounded_rectangle(box, 0.65 * radius, fill=color)
    draw.ellipse((x - 0.5 * radius, y + 0.1 * radius, x + 0.5 * radius, y + 0.85 * radius), fill=belly)
    eyes(draw, x, y - 0.3 * radius, 0.95 * radius, eye_count)
    if mouth:
        box = (x - 0.25 * radius, y + 0.3 * radius, x + 0.25 * radius, y + 0.42 * radius)
        draw.rectangle(box, fill=_MOUTH)


def _monster_top(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, *, top: str, color: Color, belly: Color
) -> None:
    for side in (-1, 1):
        if top == "horns":
            corners = ((0.75, -0.45), (0.25, -0.85), (0.85, -1.3))
            draw.polygon([(x + side * px * radius, y + py * radius) for px, py in corners], fill=_HORN)
        elif top == "antennae":
            root, tip = x + side * 0.25 * radius, x + side * 0.55 * radius
            width = max(2, int(0.12 * radius))
            draw.line((root, y - 0.7 * radius, tip, y - 1.25 * radius), fill=_darker(color), width=width)
            _disc(draw, tip, y - 1.25 * radius, 0.17 * radius, belly)
        elif top == "ears":
            centre, half = x + side * 0.62 * radius, 0.32 * radius
            draw.ellipse((centre - half, y - 1.15 * radius, centre + half, y - 0.5 * radius), fill=color)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, color: Color) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _darker(color: Color) -> Color:
    red, green, blue = (int(channel * 0.72) for channel in color)
    return red, green, blue


def _lighter(color: Color) -> Color:
    red, green, blue = (channel + 50 for channel in color)
    return red, green, blue


def _regular_polygon(corners: int, radius: float = 1.0, turn: float = 0.0, inner: float | None = None) -> list[Point]:
    """Corners around the origin, the first one on top; `inner` makes a star with that share of the radius between."""
    count = corners if inner is None else 2 * corners
    points = []
    for index in range(count):
        angle = turn + 2 * math.pi * index / count
        length = radius * inner if inner is not None and index % 2 else radius
        points.append((length * math.sin(angle), -length * math.cos(angle)))
    return points


def _heart() -> list[Point]:
    """The usual parametric heart, 40 points."""
    points = []
    for index in range(40):
        t = 2 * math.pi * index / 40
        height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((math.sin(t) ** 3, -height / 16))
    return points


_OUTLINES: dict[str, list[Point]] = {
    "triangle": [(0, -1), (1, 0.8), (-1, 0.8)],
    "diamond": [(0, -1.1), (0.75, 0), (0, 1.1), (-0.75, 0)],
    "star": _regular_polygon(5, radius=1.1, inner=0.45),
    "hexagon": _regular_polygon(6, turn=math.pi / 6),
    "heart": _heart(),
}
