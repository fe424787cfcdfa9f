"""How many steps a trial takes: epochs, batches, accumulation, warmup. Torch-free.

`trainers.data.counters` counts the same before a trial runs, for points and tables of them, by the formulas here.
"""

import dataclasses
from typing import Any

from trainers.lora import settings


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """The steps of one trial. A step is an optimizer step; the last one of an epoch may average fewer batches."""

    batches_per_epoch: int
    steps_per_epoch: int
    total_steps: int
    epochs: int
    warmup_steps: int
    effective_batch: int


def rounded_up(amount: Any, part: Any) -> Any:
    """How many parts hold an amount; numbers, or columns of shape (points,)."""
    return -(-amount // part)


def warmup(ratio: Any, total_steps: Any) -> Any:
    """A share of all steps in whole steps, rounded up; numbers, or columns of shape (points,)."""
    return rounded_up(ratio * total_steps - 1e-6, 1)  # 0.07 of 100 steps is 7.000000000000001


def plan(batches_per_epoch: int, trial: settings.LoraSettings) -> StepPlan:
    """Count the steps of a trial.

    A budget in samples is rounded up to whole steps of train_batch_size * gradient_accumulation_steps samples.
    """
    per_epoch = rounded_up(batches_per_epoch, trial.gradient_accumulation_steps)
    effective_batch = trial.train_batch_size * trial.gradient_accumulation_steps
    if trial.max_train_steps is not None:
        total = trial.max_train_steps
    elif trial.max_train_samples is not None:
        total = rounded_up(trial.max_train_samples, effective_batch)
    else:
        total = trial.max_train_epochs * per_epoch
    if trial.lr_scheduler == "constant":
        climbing = 0
    elif trial.lr_warmup_ratio is not None:
        climbing = int(warmup(trial.lr_warmup_ratio, total))
    else:
        climbing = trial.lr_warmup_steps
    return StepPlan(batches_per_epoch, per_epoch, total, rounded_up(total, per_epoch), climbing, effective_batch)
