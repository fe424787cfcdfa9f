"""What learns in a training: weights, optimizer and schedule, and one optimizer step over the batches it averages."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import accelerate
import accelerate.state
import torch

from trainers.contract import errors

Batch = TypeVar("Batch")


@dataclasses.dataclass(frozen=True)
class Learner:
    """Everything that changes from step to step.

    `weights` are all trained tensors; `optimizer` is prepared by `accelerator` and stepped before `schedule`. A step
    averages over `batches_per_step`, fewer at the end of an epoch. Gradients are clipped to `max_grad_norm`, 0 for not
    at all. `fingerprint` names everything that the steps depend on: a checkpoint of another one is not gone on from.
    """

    weights: Sequence[torch.nn.Parameter]
    optimizer: Any
    schedule: Any
    accelerator: accelerate.Accelerator
    batches_per_step: int
    max_grad_norm: float
    fingerprint: str

    def step(
        self, loss: Callable[[Batch], torch.Tensor], batches: Sequence[Batch]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One optimizer step; nothing of it waits for the device.

        Args:
            loss: a scalar of one batch, with its graph.
            batches: what the step averages over.

        Returns:
            The mean loss and the gradients' norm before clipping, two scalars on the device.
        """
        losses = []
        for batch in batches:
            one = loss(batch)
            self.accelerator.backward(one / len(batches))
            losses.append(one.detach())
        norm = self._clip()
        self.optimizer.step()
        if not self.accelerator.optimizer_step_was_skipped:
            self.schedule.step()
        self.optimizer.zero_grad()
        return torch.stack(losses).mean(), norm

    def _clip(self) -> torch.Tensor:
        if self.max_grad_norm > 0:
            return torch.as_tensor(self.accelerator.clip_grad_norm_(self.weights, self.max_grad_norm))
        self.accelerator.unscale_gradients()
        return torch.nn.utils.get_total_norm([weight.grad for weight in self.weights if weight.grad is not None])


def fresh_accelerator(mixed_precision: str) -> accelerate.Accelerator:
    """An accelerator of a trial's own: its state is the process's, and a warm process must forget the last precision.

    Raises:
        errors.JobError: the precision cannot be had on this machine.
    """
    accelerate.state.AcceleratorState._reset_state()
    try:
        return accelerate.Accelerator(mixed_precision=mixed_precision)
    except ValueError as error:
        raise errors.JobError(f"mixed_precision: {mixed_precision!r} cannot be used here: {error}") from error
