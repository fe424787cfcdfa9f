"""Milestones: when a trial is scored while it still trains. Torch-free.

Milestones are counted in samples seen, steps times the effective batch, so that trials with other batch sizes and
accumulation are compared after the same amount of training data.
"""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Milestones:
    """When a trial is scored while it trains: once every so many samples seen.

    `instances` are what each score is the mean of (prompts, clips), `pictures` what is drawn at each milestone.
    """

    every_samples: int
    instances: int = 1
    pictures: int = 0


def due(step: int, effective_batch: int, every_samples: int) -> int | None:
    """The milestone that is due after a step, in samples; None where none is.

    It is due after the first step that has seen so many samples. A step that passes several is the last one's.
    """
    passed = step * effective_batch // every_samples
    before = max(step - 1, 0) * effective_batch // every_samples
    return passed * every_samples if passed > before else None


def count(total_steps: Any, effective_batch: Any, every_samples: int) -> Any:
    """How many milestones a trial of so many steps has; the last step has none, since the whole evaluation follows it.

    Args:
        total_steps: one number or a column of shape (points,), as is `effective_batch`.
    """
    steps = np.maximum(total_steps - 1, 0)
    return np.minimum(steps, steps * effective_batch // every_samples)
