"""Evaluation points: when, during training, a few pictures are drawn and scored. Torch-free.

Points are counted in samples seen, steps times the effective batch, so that trials with other batch sizes and
accumulation are compared after the same amount of training data.
"""

from typing import Any

import numpy as np

from trainers.contract import job


def due(step: int, effective_batch: int, every_samples: int) -> int | None:
    """The point that is due after a step, in samples; None where none is.

    It is due after the first step that has seen so many samples. A step that passes several points is the last one's.
    """
    passed = step * effective_batch // every_samples
    before = max(step - 1, 0) * effective_batch // every_samples
    return passed * every_samples if passed > before else None


def count(total_steps: Any, effective_batch: Any, every_samples: int) -> Any:
    """How many points a trial of so many steps has; the last step has none, since the whole evaluation follows it.

    Args:
        total_steps: one number or a column of shape (points,), as is `effective_batch`.
    """
    steps = np.maximum(total_steps - 1, 0)
    return np.minimum(steps, steps * effective_batch // every_samples)


def pictures(whole: job.Evaluation) -> int:
    """How many pictures are drawn at each point; 0 without points."""
    fewer = evaluation(whole)
    return 0 if fewer is None else len(fewer.prompts) * len(fewer.seeds)


def evaluation(whole: job.Evaluation) -> job.Evaluation | None:
    """What is drawn at a point: the first prompts and seeds of the whole evaluation, from the same noise."""
    if whole.during is None:
        return None
    fewer = {
        "prompts": whole.prompts[: whole.during.prompts],
        "held_out": (),
        "seeds": whole.seeds[: whole.during.seeds],
        "steps": whole.during.steps or whole.steps,
        "during": None,
    }
    return whole.model_copy(update=fewer)
