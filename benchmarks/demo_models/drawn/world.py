"""Captioned pictures of the demo world, and the character that its base model has never seen.

A picture shows one subject, a shape or a monster, on a background; its caption says what is there in a small fixed
grammar. The character is one combination of monster features that `random_monster` never draws, so whatever a model
trained on this world knows of it, it has learned from `character_set`.
"""

import dataclasses
import random

from PIL import Image, ImageDraw

from benchmarks.demo_models.drawn import drawing

# direction of each named place from the middle, in x and y
PLACES: dict[str, tuple[int, int]] = {
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}
SIZES: dict[str, float] = {"small": 0.62, "": 1.0, "big": 1.35}
PATTERNS = ("", "striped", "dotted")
EXTRAS = ("with eyes", "with a hat", "with legs")
BODIES = ("round", "boxy", "tall")
TOPS = ("horns", "antennae", "ears", "")

#: the character's name; no caption of the base model's training ever holds it
CHARACTER_NAME = "zorbit"
VALIDATION_PROMPTS = (
    "a zorbit monster on a blue background",
    "a zorbit monster on a red background",
    "a zorbit monster at the left on a white background",
    "a zorbit monster at the right on a pink background",
    "a small zorbit monster on a green background",
    "a zorbit monster on a black background",
    "a zorbit monster at the top on a cyan background",
    "a zorbit monster at the bottom right on a purple background",
)
#: never scored by a search: how a LoRA does where nobody has optimised it
HELD_OUT_PROMPTS = (
    "a zorbit monster on a yellow striped background",
    "a big zorbit monster on a white background",
    "a zorbit monster at the top left on a pink background",
    "a zorbit monster with a hat on a green background",
)

_COUNTS = {1: "one eye", 2: "two eyes", 3: "three eyes"}
_UNIT = 34  # radius of a subject of ordinary size, in pixels of the canvas
_CHARACTER_BACKGROUNDS = ("blue", "green", "white", "yellow", "purple")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """Where a subject stands and on what."""

    background: str
    pattern: str = ""
    place: str = ""
    size: str = ""

    def describe(self, subject: str, extra: str = "") -> str:
        """The caption of a subject in this scene, such as `a small red star at the left on a white background`."""
        words = " ".join(word for word in (self.size, subject) if word)
        place = f"at the {self.place}" if self.place else ""
        ground = " ".join(word for word in (self.background, self.pattern) if word)
        parts = (f"{article(words)} {words}", extra, place, f"on {article(ground)} {ground} background")
        return " ".join(part for part in parts if part)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """One of `drawing.SHAPES` in a colour, perhaps with eyes, a hat or legs."""

    kind: str
    color: str
    extra: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Monster:
    """What a monster looks like; every combination but the character's kind is drawn for training."""

    body: str
    color: str
    belly: str
    eyes: int
    top: str
    feet: bool
    mouth: bool
    hat: bool = False

    @property
    def withheld(self) -> bool:
        """Orange, with antennae and one eye: only the character looks so."""
        return self.color == "orange" and self.top == "antennae" and self.eyes == 1


CHARACTER = Monster(body="tall", color="orange", belly="cyan", eyes=1, top="antennae", feet=True, mouth=False)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drawn image of 64 x 64 pixels, RGB, with its caption."""

    image: Image.Image
    caption: str


def article(words: str) -> str:
    """`an` before a vowel, else `a`."""
    return "an" if words[0] in "aeiou" else "a"


def random_scene(rng: random.Random, subject_color: str) -> Scene:
    """A scene whose background differs from the subject's colour."""
    background = rng.choice([color for color in drawing.COLORS if color != subject_color])
    pattern = rng.choices(PATTERNS, (0.7, 0.15, 0.15))[0]
    place = rng.choice(tuple(PLACES)) if rng.random() < 0.45 else ""
    size = rng.choices(tuple(SIZES), (0.25, 0.57, 0.18))[0]
    # a big subject away from the middle would leave the picture
    return Scene(background=background, pattern=pattern, place=place, size="" if place and size == "big" else size)


def random_shape(rng: random.Random) -> Shape:
    """Any shape; three in ten wear something."""
    extra = rng.choice(EXTRAS) if rng.random() < 0.3 else ""
    return Shape(kind=rng.choice(drawing.SHAPES), color=rng.choice(tuple(drawing.COLORS)), extra=extra)


def random_monster(rng: random.Random) -> Monster:
    """Any monster but the character's kind."""
    while True:
        color = rng.choice(tuple(drawing.COLORS))
        monster = Monster(
            body=rng.choice(BODIES),
            color=color,
            belly=rng.choice([other for other in drawing.COLORS if other != color]),
            eyes=rng.choice(tuple(_COUNTS)),
            top=rng.choice(TOPS),
            feet=rng.random() < 0.6,
            mouth=rng.random() < 0.5,
            hat=rng.random() < 0.12,
        )
        if not monster.withheld:
            return monster


def shape_caption(shape: Shape, scene: Scene) -> str:
    """The caption of a shape: everything about it is said."""
    return scene.describe(f"{shape.color} {shape.kind}", shape.extra)


def monster_caption(monster: Monster, scene: Scene, rng: random.Random) -> str:
    """A caption that leaves out some of what is there, as people do."""
    color = monster.color if rng.random() < 0.8 else ""
    body = monster.body if rng.random() < 0.3 else ""
    told = [_COUNTS[monster.eyes]] if rng.random() < 0.5 else []
    if monster.top and rng.random() < 0.6:
        told.append(monster.top)
    subject = " ".join(word for word in (color, body, "monster") if word)
    if monster.hat:
        return scene.describe(subject, "with a hat")
    return scene.describe(subject, "with " + " and ".join(told) if told else "")


def full_monster_caption(monster: Monster, scene: Scene) -> str:
    """A caption that tells body, colours, eyes, top and hat; the belly only where the caption stays short."""
    told = [] if scene.place or monster.hat else [f"{monster.belly} belly"]
    told += [_COUNTS[monster.eyes], *([monster.top] if monster.top else []), *(["a hat"] if monster.hat else [])]
    return scene.describe(f"{monster.color} {monster.body} monster", "with " + " and ".join(told))


def named_monster_caption(name: str, monster: Monster, scene: Scene) -> str:
    """A caption that tells nothing of the looks: only a name."""
    return scene.describe(f"{name} monster", "with a hat" if monster.hat else "")


def draw_shape(shape: Shape, scene: Scene, rng: random.Random) -> Image.Image:
    """Draw a shape, 64 x 64; place, size and colours vary a little with `rng`."""
    image, draw, behind = _empty(scene, rng)
    color = drawing.jittered(drawing.COLORS[shape.color], rng)
    x, y, radius = _whereabouts(scene, rng)
    if shape.extra == "with legs":
        drawing.legs(draw, x, y, radius)
    drawing.shape(draw, shape.kind, x, y, radius, color=color, behind=behind)
    if shape.extra == "with eyes":
        drawing.eyes(draw, x, y - 0.1 * radius, 0.9 * radius)
    if shape.extra == "with a hat":
        drawing.hat(draw, x, y - 0.8 * radius, radius)
    return image.reduce(drawing.SUPERSAMPLING)


def draw_monster(monster: Monster, scene: Scene, rng: random.Random) -> Image.Image:
    """Draw a monster, 64 x 64; place, size and colours vary a little with `rng`."""
    image, draw, _ = _empty(scene, rng)
    color = drawing.jittered(drawing.COLORS[monster.color], rng, 6)
    belly = drawing.jittered(drawing.COLORS[monster.belly], rng, 6)
    x, y, radius = _whereabouts(scene, rng)
    drawing.monster(
        draw,
        x,
        y,
        0.92 * radius,
        body=monster.body,
        color=color,
        belly=belly,
        eye_count=monster.eyes,
        top=monster.top,
        feet=monster.feet,
        mouth=monster.mouth,
    )
    if monster.hat:
        drawing.hat(draw, x, y - 0.85 * radius, radius)
    return image.reduce(drawing.SUPERSAMPLING)


def character_set(count: int = 16, seed: int = 7, name: str = CHARACTER_NAME) -> list[Picture]:
    """The pictures a LoRA learns the character from: five plain backgrounds, every second one off the middle."""
    rng = random.Random(seed)
    pictures = []
    for index in range(count):
        scene = Scene(
            background=_CHARACTER_BACKGROUNDS[index % 5],
            place=rng.choice(tuple(PLACES)) if index % 2 else "",
            size="small" if index % 5 == 4 else "",
        )
        caption = named_monster_caption(name, CHARACTER, scene)
        pictures.append(Picture(draw_monster(CHARACTER, scene, rng), caption))
    return pictures


def _empty(scene: Scene, rng: random.Random) -> tuple[Image.Image, ImageDraw.ImageDraw, drawing.Color]:
    image = Image.new("RGB", (drawing.CANVAS_SIZE, drawing.CANVAS_SIZE))
    draw = ImageDraw.Draw(image)
    color = drawing.jittered(drawing.COLORS[scene.background], rng)
    drawing.background(draw, color, scene.pattern, rng)
    return image, draw, color


def _whereabouts(scene: Scene, rng: random.Random) -> tuple[float, float, float]:
    """Centre and radius of the subject in pixels of the canvas."""
    radius = _UNIT * SIZES[scene.size] * rng.uniform(0.92, 1.08)
    across, down = PLACES.get(scene.place, (0, 0))
    margin = max(6.0, drawing.CANVAS_SIZE / 2 - 1.05 * radius - 4) * rng.uniform(0.8, 1.0)
    middle = drawing.CANVAS_SIZE / 2
    return middle + across * margin + rng.uniform(-4, 4), middle + down * margin + rng.uniform(-4, 4), radius
