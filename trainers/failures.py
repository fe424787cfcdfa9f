"""The kinds of failure a trainer can tell apart, who is to blame, and whether going on is pointless."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Failure:
    """One kind of failure.

    `blame` decides what the search is told: failures that come from the parameters teach it, failures of the machine
    do not. `fatal` failures end the trial at once, before images are drawn. `whole` ones make it unusable, whatever
    its rules say; the others concern single images, and how many of them are too many is for an `expect` rule to say.
    """

    kind: str
    meaning: str
    blame: Literal["parameters", "machine"]
    fatal: bool
    whole: bool = True


_TABLE = (
    Failure("nonfinite-loss", "the loss became NaN or infinite", "parameters", True),
    Failure("nonfinite-gradient", "the gradient became NaN or infinite", "parameters", True),
    Failure("exploding-gradient", "the gradient norm left its running median far behind", "parameters", True),
    Failure("nonfinite-weights", "the trained weights hold NaN or infinite values", "parameters", True),
    Failure("no-learning", "the LoRA is zero: nothing was learned", "parameters", True),
    Failure("out-of-memory", "the trial does not fit into the device's memory", "parameters", True),
    Failure("nonfinite-latents", "sampling gave NaN or infinite latents", "parameters", False, whole=False),
    Failure("nonfinite-pixels", "decoding gave NaN or infinite pixels", "parameters", False, whole=False),
    Failure("black-images", "images are black", "parameters", False, whole=False),
    Failure("flat-images", "images hold no structure", "parameters", False, whole=False),
    Failure("saturated-images", "images are burnt out", "parameters", False, whole=False),
    Failure("collapse", "different prompts give the same image", "parameters", False),
    Failure("copying", "images repeat a training image", "parameters", False),
    Failure("below-base", "the CLIP score fell below the untrained base's", "parameters", False),
    Failure("stopped-by-rule", "a stop rule ended the training", "parameters", True),
    Failure("machine", "the machine failed: disk, device or signal", "machine", True),
)

#: kind -> what is known about it
KINDS = {failure.kind: failure for failure in _TABLE}
