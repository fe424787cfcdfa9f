"""What kohya's sd-scripts refuses by itself, or leaves out without a word, said before anything trains. Torch-free.

Its scripts stop with an assertion at the first such setting, once for each attempt. Named here are the assertions of
its train_network.py, sdxl_train_network.py and library/train_util.py that a study's settings can meet;
docs/howto/sd-scripts.md lists them.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trainers.kohya import settings as kohya_settings
from trainers.lora import architecture, noise
from trainers.terms.contradictions import Contradiction, Mask, Points

#: sides of buckets are multiples of this (`verify_bucket_reso_steps`)
BUCKET_STEPS: Mapping[architecture.Family, int] = {"sd15": 64, "sdxl": 32}
_NAMES = {"sd15": "SD 1.5", "sdxl": "SDXL"}

#: transformers from which on a CLIP text encoder is saved, and can be loaded, without the level `text_model`
_FLAT_TEXT_ENCODERS = (5, 6)

#: sides of its buckets are multiples of this at least, whatever the family
_LEAST_STEP = min(BUCKET_STEPS.values())


def _uneven_step(points: Points) -> Mask:
    uneven: Mask = points.number("enable_bucket", 0.0).astype(bool) & (
        points.number("bucket_reso_steps", _LEAST_STEP) % _LEAST_STEP != 0
    )
    return uneven


UNEVEN_STEP = Contradiction(
    frozenset({"enable_bucket", "bucket_reso_steps"}),
    _uneven_step,
    lambda params: (
        f"bucket_reso_steps: {params['bucket_reso_steps']} is not a multiple of {_LEAST_STEP}, as sd-scripts demands "
        "of buckets"
    ),
)


def setting_problems(family: architecture.Family, values: Mapping[str, Iterable[Any]]) -> Iterator[str]:
    """Why some of the values that settings may take cannot be trained.

    Args:
        values: by parameter, everything that it may be: one value of a trial, or all of a study.
    """
    least = BUCKET_STEPS[family]
    steps = values.get("bucket_reso_steps", (64,)) if any(values.get("enable_bucket", ())) else ()
    refused = next((step for step in steps if step % least), None)
    if refused is not None:
        yield (
            f"bucket_reso_steps: sd-scripts takes multiples of {least} with a base of the family {_NAMES[family]}, not "
            f"{refused}; search `choices: [{least}, {2 * least}]`, or leave it at 64"
        )


def base_problems(base: kohya_settings.BaseTraits) -> Iterator[str]:
    """Why sd-scripts cannot train this base as it is, whatever the settings."""
    shape = architecture.read(str(base.configuration)) if base.configuration else None
    known = architecture.standard(base.family)
    if shape is not None and (shape.residuals, shape.transformers) != (known.residuals, known.transformers):
        yield f"base: sd-scripts builds the UNet in {_NAMES[base.family]}'s own size alone, and this one has another"
    told = base.noise
    if told.betas != noise.STABLE_DIFFUSION.betas:
        schedule, start, end, steps = told.betas
        yield (
            f"base: its scheduler's noise is {schedule} from {start:g} to {end:g} in {steps} steps; sd-scripts trains "
            "with scaled_linear from 0.00085 to 0.012 in 1000 alone"
        )
    if told.prediction_type not in ("epsilon", "v_prediction"):
        yield f"base: it predicts {told.prediction_type!r}; sd-scripts trains epsilon and v_prediction alone"


def text_encoder_problem(base: kohya_settings.BaseTraits, transformers: str) -> str | None:
    """Why a version of transformers would load the base's text encoder with random weights, or None.

    It only warns where a weight is missing, and would train on.
    """
    if base.configuration is None or _version(transformers) >= _FLAT_TEXT_ENCODERS:
        return None
    file = base.configuration / "text_encoder" / "model.safetensors"
    try:
        names = architecture.weights(file)
    except (OSError, ValueError, struct.error):
        return None
    if any(name.startswith("text_model.") for name in names):
        return None
    return (
        f"base: {file} was saved by transformers 5.6 or later; transformers {transformers} of sd_scripts_python finds "
        "none of its weights and would train with a random text encoder. Name the base as it was published, or one "
        "checkpoint file"
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
