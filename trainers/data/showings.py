"""What an epoch of a data set shows, by the sizes of what it shows. Torch-free."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

Size: TypeAlias = tuple[int, int]
#: width and height of an image, resolution, step of a bucket's sides or None -> training size
Sizing: TypeAlias = Callable[[int, int, int, int | None], Size]


class Shown(Protocol):
    """An image or clip that an epoch shows `repeats` times; sides in pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def repeats(self) -> int: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Showings:
    """What an epoch shows: how many images there are, and width, height and samples of each size that lies on disk.

    A study keeps it, as JSON of these fields.
    """

    images: int
    by_size: tuple[tuple[int, int, int], ...]

    @functools.cached_property
    def samples(self) -> int:
        """Samples of an epoch."""
        return sum(samples for _, _, samples in self.by_size)

    @functools.cache  # noqa: B019  (a study has one data set)
    def by_bucket(self, resolution: int, step: int, rule: Sizing) -> tuple[int, ...]:
        """Samples of each bucket."""
        found: Counter[Size] = Counter()
        for width, height, samples in self.by_size:
            found[rule(width, height, resolution, step)] += samples
        return tuple(found.values())


def of(items: Sequence[Shown]) -> Showings:
    """Count the items of a data set, each as often as an epoch shows it."""
    samples: Counter[Size] = Counter()
    for item in items:
        samples[item.width, item.height] += item.repeats
    return Showings(len(items), tuple((*size, shown) for size, shown in sorted(samples.items())))
