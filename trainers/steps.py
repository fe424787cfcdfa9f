"""How many steps a trial takes: the one place that counts epochs, batches, accumulation and warmup. Torch-free."""

import dataclasses
import math
from typing import Any

from trainers import settings


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """The steps of one trial. A step is an optimizer step; the last one of an epoch may average fewer batches."""

    batches_per_epoch: int
    steps_per_epoch: int
    total_steps: int
    epochs: int
    warmup_steps: int
    effective_batch: int


def of_epochs(epochs: Any, batches_per_epoch: Any, accumulation: Any) -> Any:
    """Optimizer steps of whole epochs; numbers, or columns of shape (points,)."""
    return epochs * -(-batches_per_epoch // accumulation)


def of_samples(samples: Any, effective_batch: Any) -> Any:
    """Optimizer steps of a budget in samples, rounded up; numbers, or columns of shape (points,)."""
    return -(-samples // effective_batch)


def plan(batches_per_epoch: int, trial: settings.LoraSettings) -> StepPlan:
    """Count the steps of a trial.

    A budget in samples is rounded up to whole steps of train_batch_size * gradient_accumulation_steps samples.
    """
    per_epoch = of_epochs(1, batches_per_epoch, trial.gradient_accumulation_steps)
    effective_batch = trial.train_batch_size * trial.gradient_accumulation_steps
    if trial.max_train_steps is not None:
        total = trial.max_train_steps
    elif trial.max_train_samples is not None:
        total = of_samples(trial.max_train_samples, effective_batch)
    else:
        total = trial.max_train_epochs * per_epoch
    if trial.lr_scheduler == "constant":
        warmup = 0
    elif trial.lr_warmup_ratio is not None:
        warmup = math.ceil(trial.lr_warmup_ratio * total)
    else:
        warmup = trial.lr_warmup_steps
    return StepPlan(batches_per_epoch, per_epoch, total, math.ceil(total / per_epoch), warmup, effective_batch)
