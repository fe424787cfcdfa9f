"""Settings of a LoRA that cannot be trained together. Torch-free."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainers.contract import job
from trainers.terms.contradictions import Contradiction, Mask, Points

#: where diffusers' polynomial schedule ends
POLYNOMIAL_END = 1e-7
#: ratios and what they make are compared with this relative tolerance
TOLERANCE = 1e-9
#: what counts where a trial does not say
_DIM, _BUCKET_STEP = 16, 64
#: schedules that begin with a warmup
CLIMBING = ("constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial")


def _exclusive(*names: str) -> Contradiction:
    """At most one of `names` may be set."""

    def holds(points: Points) -> Mask:
        several: Mask = np.sum([points.is_set(name) for name in names], axis=0) > 1
        return several

    def says(params: Mapping[str, job.Scalar]) -> str:
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

    def says(params: Mapping[str, job.Scalar]) -> str:
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


def _rate_and_end(params: Mapping[str, job.Scalar]) -> str:
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


def _warmup_and_steps(params: Mapping[str, job.Scalar]) -> str:
    total = params.get("total_steps", params.get("max_train_steps", 0))
    return (
        f"lr_warmup_steps: {params['lr_warmup_steps']} in a trial of {float(total):.0f} steps: the learning rate would "
        "never reach its peak"
    )


def _no_bucket(points: Points) -> Mask:
    bucketed = points.number("enable_bucket", 0.0) > 0
    none: Mask = bucketed & (points.number("bucket_reso_steps", _BUCKET_STEP) > points.number("resolution", np.inf))
    return none


def _bucket_and_resolution(params: Mapping[str, job.Scalar]) -> str:
    step = params.get("bucket_reso_steps", _BUCKET_STEP)
    return f"bucket_reso_steps: {step} is more than the resolution of {params['resolution']} pixels: there is no bucket"


#: what no trainer of ours can train
TABLE = (
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
