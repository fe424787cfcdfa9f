"""The kinds of failure a trainer can tell apart, whether going on is pointless, and whether the trial can be used."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class FailureKind:
    """One kind of failure.

    `fatal` failures end the trial at once, before images are drawn. `whole` ones make it unusable, whatever its rules
    say; the others concern single images, and how many of them are too many is for an `expect` rule to say.
    """

    kind: str
    meaning: str
    fatal: bool
    whole: bool = True


_TABLE = (
    FailureKind("nonfinite-loss", "the loss became NaN or infinite", True),
    FailureKind("nonfinite-gradient", "the gradient became NaN or infinite", True),
    FailureKind("exploding-gradient", "the gradient norm left its running median far behind", True),
    FailureKind("nonfinite-weights", "the trained weights hold NaN or infinite values", True),
    FailureKind("no-learning", "the LoRA is zero: nothing was learned", True),
    FailureKind("out-of-memory", "the trial does not fit into the device's memory", True),
    FailureKind("contradictory-parameters", "the trainer cannot train this point at all", True),
    FailureKind("nonfinite-latents", "sampling gave NaN or infinite latents", False, whole=False),
    FailureKind("nonfinite-pixels", "decoding gave NaN or infinite pixels", False, whole=False),
    FailureKind("black-images", "images are black", False, whole=False),
    FailureKind("flat-images", "images hold no structure", False, whole=False),
    FailureKind("saturated-images", "images are burnt out", False, whole=False),
    FailureKind("off-prompt", "images lost their prompt", False, whole=False),
    FailureKind("collapse", "different prompts give the same image", False),
    FailureKind("copying", "images repeat a training image", False),
    FailureKind("below-base", "the CLIP score fell below the untrained base's", False),
    FailureKind("no-score", "an objective of the study is no finite number", False),
    FailureKind("stopped-by-rule", "a stop rule ended the training", True),
    FailureKind("refused-job", "the trainer refuses the job as it is written", True),
    FailureKind("unusable-input", "the data set, the base or a scorer cannot be read", True),
    FailureKind("machine", "the machine failed: disk, device or signal", True),
)

#: kind -> what is known about it
KINDS = {failure.kind: failure for failure in _TABLE}
