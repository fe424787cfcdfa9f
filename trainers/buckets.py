"""Training sizes: which width and height an image is brought to, and how an epoch falls into batches. Torch-free."""

import math
from collections.abc import Mapping, Sequence

from trainers import dataset, settings

Size = tuple[int, int]


def training_size(width: int, height: int, resolution: int, step: int | None) -> Size:
    """The (width, height) an image of `width` x `height` pixels is trained at.

    Without `step` that is the square of `resolution`. With it, the aspect ratio is kept as well as sides that are
    multiples of `step` allow, with at most resolution**2 pixels (NovelAI's aspect ratio bucketing, as in sd-scripts).
    """
    if step is None:
        return resolution, resolution
    area, ratio = resolution**2, width / height
    candidates = []
    for side in range(step, 2 * resolution + 1, step):
        other = min(area // side, 2 * resolution) // step * step
        if other >= step:
            candidates += [(side, other), (other, side)]  # so that a turned image gets the turned bucket
    return min(candidates, key=lambda size: _misfit(size, ratio))


def _misfit(size: Size, ratio: float) -> tuple[float, int, float]:
    """How far a size is from an aspect ratio; of equals the larger one fits better, then the squarer one."""
    own = size[0] / size[1]
    return round(abs(math.log(own / ratio)), 9), -size[0] * size[1], abs(math.log(own))


def group(
    pictures: Sequence[dataset.Picture], trial: settings.LoraSettings, resolution: int
) -> Mapping[Size, list[int]]:
    """Numbers of the pictures that share a training size; a picture with n repeats is named n times."""
    step = trial.bucket_reso_steps if trial.enable_bucket else None
    groups: dict[Size, list[int]] = {}
    for number, picture in enumerate(pictures):
        size = training_size(picture.width, picture.height, resolution, step)
        groups.setdefault(size, []).extend([number] * picture.repeats)
    return dict(sorted(groups.items()))


def batches_per_epoch(groups: Mapping[Size, Sequence[int]], batch_size: int) -> int:
    """Batches an epoch needs; a batch holds images of one training size only."""
    return sum(math.ceil(len(numbers) / batch_size) for numbers in groups.values())
