"""Training sizes: which width and height an image is brought to, and how an epoch falls into batches. Torch-free."""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence

from trainers.contract import errors
from trainers.data import dataset
from trainers.data.showings import Size, Sizing
from trainers.lora import settings


def training_size(width: int, height: int, resolution: int, step: int | None) -> Size:
    """The (width, height) an image of `width` x `height` pixels is trained at.

    Without `step` that is the square of `resolution`. With it, the aspect ratio is kept as well as sides that are
    multiples of `step` allow, with at most resolution**2 pixels (NovelAI's aspect ratio bucketing, as in sd-scripts).

    Raises:
        errors.JobError: `step` is more than `resolution`: there is no bucket.
    """
    if step is None:
        return resolution, resolution
    logarithm = math.log(width / height)
    return min(_ranked(resolution, step), key=lambda ranked: round(abs(ranked[0] - logarithm), 9))[1]


def sd_scripts_size(width: int, height: int, resolution: int, step: int | None) -> Size:
    """The same by sd-scripts' own choice (`BucketManager.select_bucket` of its library/train_util.py).

    It compares width / height itself, not its logarithm, so a wide image may come into another bucket than here; and it
    knows the largest square that sides allow, which here is one only where something larger does not fit.
    """
    if step is None:
        return resolution, resolution
    sizes = _sd_scripts_sizes(resolution, step)
    if (width, height) in sizes:
        return width, height
    return min(sizes, key=lambda size: abs(size[0] / size[1] - width / height))


@functools.lru_cache(maxsize=256)
def _sizes(resolution: int, step: int) -> tuple[Size, ...]:
    """All buckets, in order: for each side the longest other one that keeps within resolution**2 pixels."""
    found = set()
    for side in range(step, 2 * resolution + 1, step):
        other = min(resolution**2 // side, 2 * resolution) // step * step
        if other >= step:
            found |= {(side, other), (other, side)}  # so that a turned image gets the turned bucket
    if not found:
        raise errors.JobError(f"bucket_reso_steps: {step} is more than the resolution of {resolution} pixels")
    return tuple(sorted(found))


@functools.lru_cache(maxsize=256)
def _sd_scripts_sizes(resolution: int, step: int) -> tuple[Size, ...]:
    square = resolution // step * step
    return tuple(sorted({*_sizes(resolution, step), (square, square)}))


@functools.lru_cache(maxsize=256)
def _ranked(resolution: int, step: int) -> tuple[tuple[float, Size], ...]:
    """Logarithms of aspect ratios with their buckets, of equals the larger one first, then the squarer one."""
    logarithms = [(math.log(width / height), (width, height)) for width, height in _sizes(resolution, step)]
    return tuple(sorted(logarithms, key=lambda ranked: (-ranked[1][0] * ranked[1][1], abs(ranked[0]))))


def group(
    pictures: Sequence[dataset.TrainingImage],
    trial: settings.LoraSettings,
    resolution: int,
    rule: Sizing = training_size,
) -> Mapping[Size, list[int]]:
    """Numbers of the pictures that share a training size; a picture with n repeats is named n times."""
    step = trial.bucket_reso_steps if trial.enable_bucket else None
    groups: dict[Size, list[int]] = {}
    for number, picture in enumerate(pictures):
        size = rule(picture.width, picture.height, resolution, step)
        groups.setdefault(size, []).extend([number] * picture.repeats)
    return dict(sorted(groups.items()))


def batches_per_epoch(samples: Iterable[int], batch_size: int) -> int:
    """Batches an epoch needs; a batch holds images of one training size only, so the last one of each may be short.

    Args:
        samples: of each training size.
    """
    return sum(-(-each // batch_size) for each in samples)
