"""The kinds of failure a trainer can tell apart, whether going on is pointless, and whether the trial can be used."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Failure:
    """One kind of failure.

    `fatal` failures end the trial at once, before images are drawn. `whole` ones make it unusable, whatever its rules
    say; the others concern single images, and how many of them are too many is for an `expect` rule to say.
    """

    kind: str
    meaning: str
    fatal: bool
    whole: bool = True


_TABLE = (
    Failure("nonfinite-loss", "the loss became NaN or infinite", True),
    Failure("nonfinite-gradient", "the gradient became NaN or infinite", True),
    Failure("exploding-gradient", "the gradient norm left its running median far behind", True),
    Failure("nonfinite-weights", "the trained weights hold NaN or infinite values", True),
    Failure("no-learning", "the LoRA is zero: nothing was learned", True),
    Failure("out-of-memory", "the trial does not fit into the device's memory", True),
    Failure("contradictory-parameters", "the trainer cannot train this point at all", True),
    Failure("nonfinite-latents", "sampling gave NaN or infinite latents", False, whole=False),
    Failure("nonfinite-pixels", "decoding gave NaN or infinite pixels", False, whole=False),
    Failure("black-images", "images are black", False, whole=False),
    Failure("flat-images", "images hold no structure", False, whole=False),
    Failure("saturated-images", "images are burnt out", False, whole=False),
    Failure("off-prompt", "images lost their prompt", False, whole=False),
    Failure("collapse", "different prompts give the same image", False),
    Failure("copying", "images repeat a training image", False),
    Failure("below-base", "the CLIP score fell below the untrained base's", False),
    Failure("no-score", "an objective of the study is no finite number", False),
    Failure("stopped-by-rule", "a stop rule ended the training", True),
    Failure("refused-job", "the trainer refuses the job as it is written", True),
    Failure("unusable-input", "the data set, the base or a judge cannot be read", True),
    Failure("machine", "the machine failed: disk, device or signal", True),
)

#: kind -> what is known about it
KINDS = {failure.kind: failure for failure in _TABLE}
