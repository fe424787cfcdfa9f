"""Settings that cannot be trained together, told of one point or of columns of points alike. Torch-free.

Some depend on the data set and the base: what `trainers.data.counters` finds out is handed over beside the parameters,
as `total_steps` and, where the trial does not set it, `resolution`.

A trial is checked point by point, a search looks at thousands at once; both ask the same table, so that no point is
proposed that its trainer would refuse.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Scalar: TypeAlias = bool | int | float | str
Mask: TypeAlias = npt.NDArray[np.bool_]

#: where diffusers' polynomial schedule ends
POLYNOMIAL_END = 1e-7
#: ratios and what they make are compared with this relative tolerance
TOLERANCE = 1e-9
#: what counts where a trial does not say
_DIM, _BUCKET_STEP = 16, 64
#: schedules that begin with a warmup
CLIMBING = ("constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial")


class Points:
    """Points as columns of shape (points,): NaN (numbers) or None (text) where a parameter is not set."""

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]], count: int) -> None:
        self._columns = columns
        self._count = count

    def is_set(self, name: str) -> Mask:
        """Where a parameter is set, shape (points,)."""
        column = self._columns.get(name)
        if column is None:
            return np.zeros(self._count, dtype=bool)
        if column.dtype == object:
            return np.array([value is not None for value in column], dtype=bool)
        return ~np.isnan(column.astype(float)) if column.dtype.kind == "f" else np.ones(self._count, dtype=bool)

    def number(self, name: str, otherwise: float) -> npt.NDArray[np.float64]:
        """A number's values, shape (points,), with `otherwise` where it is not set."""
        column = self._columns.get(name)
        if column is None:
            return np.full(self._count, otherwise)
        values: npt.NDArray[np.float64] = np.where(self.is_set(name), column, otherwise).astype(float)
        return values

    def equals(self, name: str, *texts: str) -> Mask:
        """Where a text is one of `texts`, shape (points,); nowhere where it is not set."""
        column = self._columns.get(name)
        if column is None:
            return np.zeros(self._count, dtype=bool)
        equal = np.zeros(self._count, dtype=bool)
        for text in texts:
            equal |= column.astype(object) == text
        return equal


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """One thing that cannot be trained.

    `holds` says at which points, shape (points,); `says` words it for one point, naming parameters and values.
    Nothing is asked of points that lack one of the parameters in `needs`.
    """

    needs: frozenset[str]
    holds: Callable[[Points], Mask]
    says: Callable[[Mapping[str, Scalar]], str]


def _exclusive(*names: str) -> Contradiction:
    """At most one of `names` may be set."""

    def holds(points: Points) -> Mask:
        several: Mask = np.sum([points.is_set(name) for name in names], axis=0) > 1
        return several

    def says(params: Mapping[str, Scalar]) -> str:
        return f"{' and '.join(name for name in names if name in params)}: give one of them"

    return Contradiction(frozenset(), holds, says)


def _disagreement(name: str, ratio: str, whole: str, otherwise: float) -> Contradiction:
    """A value and its ratio, both given, must say the same; `whole` is what the ratio is a share of."""

    def holds(points: Points) -> Mask:
        expected = points.number(whole, otherwise) * points.number(ratio, np.nan)
        given = points.number(name, np.nan)
        both = points.is_set(name) & points.is_set(ratio) & ~np.isnan(expected)
        apart: Mask = both & (np.abs(given - expected) > TOLERANCE * np.maximum(np.abs(given), np.abs(expected)))
        return apart

    def says(params: Mapping[str, Scalar]) -> str:
        expected = float(params.get(whole, otherwise)) * float(params[ratio])
        return f"{name}: {params[name]!r} contradicts {ratio} {params[ratio]!r}, which makes it {expected:g}"

    return Contradiction(frozenset({name, ratio}), holds, says)


def _nothing_is_trained(points: Points) -> Mask:
    """The UNet is left alone, and so are the text encoders: a ratio of no rate is no rate."""
    nothing: Mask = (points.number("learning_rate", 1.0) == 0) & (points.number("text_encoder_lr", 0.0) == 0)
    return nothing


def _below_the_end(points: Points) -> Mask:
    unet = points.number("learning_rate", 1.0)
    rate = np.where(unet > 0, unet, points.number("text_encoder_lr", 0.0))
    below: Mask = points.equals("lr_scheduler", "polynomial") & (rate > 0) & (rate <= POLYNOMIAL_END)
    return below


def _rate_and_end(params: Mapping[str, Scalar]) -> str:
    name = "learning_rate" if params["learning_rate"] else "text_encoder_lr"
    return f"{name}: {float(params[name]):g} is not above {POLYNOMIAL_END:g}, where the polynomial schedule ends"


def _total_steps(points: Points) -> npt.NDArray[np.float64]:
    """Steps of whole trials where they are known, NaN elsewhere."""
    told: npt.NDArray[np.float64] = points.number("max_train_steps", np.nan)
    return np.where(points.is_set("total_steps"), points.number("total_steps", np.nan), told)


def _outlasts(points: Points) -> Mask:
    climbs = points.equals("lr_scheduler", *CLIMBING)
    outlasts: Mask = climbs & (points.number("lr_warmup_steps", 0.0) > _total_steps(points))
    return outlasts


def _warmup_and_steps(params: Mapping[str, Scalar]) -> str:
    total = params.get("total_steps", params.get("max_train_steps", 0))
    return (
        f"lr_warmup_steps: {params['lr_warmup_steps']} in a trial of {float(total):.0f} steps: the learning rate would "
        "never reach its peak"
    )


def _no_bucket(points: Points) -> Mask:
    bucketed = points.number("enable_bucket", 0.0) > 0
    none: Mask = bucketed & (points.number("bucket_reso_steps", _BUCKET_STEP) > points.number("resolution", np.inf))
    return none


def _bucket_and_resolution(params: Mapping[str, Scalar]) -> str:
    step = params.get("bucket_reso_steps", _BUCKET_STEP)
    return f"bucket_reso_steps: {step} is more than the resolution of {params['resolution']} pixels: there is no bucket"


#: what neither our own trainer nor sd-scripts can train
LORA = (
    _exclusive("max_train_epochs", "max_train_steps", "max_train_samples"),
    _exclusive("lr_warmup_steps", "lr_warmup_ratio"),
    _disagreement("network_alpha", "network_alpha_ratio", "network_dim", _DIM),
    _disagreement("text_encoder_lr", "text_encoder_lr_ratio", "learning_rate", np.nan),
    Contradiction(
        frozenset({"learning_rate"}),
        _nothing_is_trained,
        lambda _params: "learning_rate: 0 and no text_encoder_lr: nothing would be trained",
    ),
    Contradiction(frozenset({"learning_rate", "lr_scheduler"}), _below_the_end, _rate_and_end),
    Contradiction(frozenset({"lr_warmup_steps", "lr_scheduler"}), _outlasts, _warmup_and_steps),
    Contradiction(frozenset({"enable_bucket", "resolution"}), _no_bucket, _bucket_and_resolution),
)

#: sides of sd-scripts' buckets are multiples of this at least; it wants more of Stable Diffusion 1.5's
SD_SCRIPTS_STEP = 32


def _uneven_step(points: Points) -> Mask:
    uneven: Mask = points.number("enable_bucket", 0.0).astype(bool) & (
        points.number("bucket_reso_steps", SD_SCRIPTS_STEP) % SD_SCRIPTS_STEP != 0
    )
    return uneven


#: what sd-scripts refuses beside that
SD_SCRIPTS = (
    Contradiction(
        frozenset({"enable_bucket", "bucket_reso_steps"}),
        _uneven_step,
        lambda params: (
            f"bucket_reso_steps: {params['bucket_reso_steps']} is not a multiple of {SD_SCRIPTS_STEP}, as sd-scripts "
            "demands of buckets"
        ),
    ),
)

#: trainer -> what it cannot train; a user's own script decides that itself
OF_TRAINER: Mapping[str, tuple[Contradiction, ...]] = {
    "diffusion-lora": LORA,
    "sd-scripts": LORA + SD_SCRIPTS,
    "command": (),
}


def of_point(trainer: str, params: Mapping[str, Scalar]) -> list[str]:
    """What one trial's parameters contradict, in words; empty where they can be trained."""
    points = Points({name: np.array([value]) for name, value in params.items()}, 1)
    return [each.says(params) for each in OF_TRAINER[trainer] if each.needs <= params.keys() and each.holds(points)[0]]


def of_points(trainer: str, columns: Mapping[str, Any], count: int) -> Mask:
    """Which of many points contradict something, shape (points,).

    Args:
        trainer: one that `trainers.declared.parameters` knows.
        columns: complete parameters, each one value or a column of shape (points,), NaN or None where it is not set.
        count: how many points there are.
    """
    found = np.zeros(count, dtype=bool)
    wanted = [each for each in OF_TRAINER[trainer] if each.needs <= columns.keys()]
    if not wanted:
        return found
    points = Points({name: np.broadcast_to(np.asarray(value), (count,)) for name, value in columns.items()}, count)
    for each in wanted:
        found |= each.holds(points)
    return found
