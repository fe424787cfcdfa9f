"""A training's live signals: kept on the device from step to step, looked at once in a while, judged and told."""

from collections.abc import Mapping
from typing import Any

import torch

from trainers.training import checkpoints, health, memory

#: a divergence is found at most this many steps after it happened
_LONGEST_BLINDNESS_STEPS = 20


class StepSignals:
    """Losses and gradient norms of the steps since the last look."""

    def __init__(self, watch: health.Health, device: torch.device, reported_every: int) -> None:
        self._watch = watch
        self._look_every = _look_every(device, reported_every)
        self._pending: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        self._last = (0.0, 0.0)

    def add(self, step: int, loss: torch.Tensor, grad_norm: torch.Tensor) -> None:
        """Keep what a step gave, two scalars, where they are."""
        self._pending.append((step, loss, grad_norm))

    def due(self, step: int) -> bool:
        """Whether it is time to look, whatever else there is to look for."""
        return step % self._look_every == 0

    def look(self) -> health.Symptom | None:
        """Wait for the device and take in every step since the last look; returns what is wrong, if anything is."""
        steps = [step for step, *_ in self._pending]
        for step, (loss, norm) in zip(steps, _read(self._pending), strict=True):
            symptom = self._watch.observe(step, loss, norm)
            if symptom:
                return symptom
            self._last = (loss, norm)
        self._pending.clear()
        return None

    def now(self, state: checkpoints.TrainingState) -> Mapping[str, Any]:
        """What the last step that was looked at showed, in the words of the event `step`."""
        loss, norm = self._last
        estimate = float(state.optimizer.param_groups[0].get("d", 1.0))  # Prodigy's own estimate of the step size
        return {
            "loss": loss,
            "loss_ema": self._watch.loss_ema,
            "grad_norm": norm,
            "grad_norm_median": self._watch.grad_norm_median,
            "learning_rate_now": state.schedule.get_last_lr()[0] * estimate,
            **memory.peak(),
        }


def _look_every(device: torch.device, reported_every: int) -> int:
    """Steps from one look at the signals to the next: a look costs nothing on the CPU and stalls a GPU."""
    return 1 if device.type == "cpu" else min(reported_every, _LONGEST_BLINDNESS_STEPS)


def _read(pending: list[tuple[int, torch.Tensor, torch.Tensor]]) -> list[list[float]]:
    """Losses and gradient norms of the pending steps, in one transfer from the device."""
    pairs: list[list[float]] = torch.stack([torch.stack([loss, norm.float()]) for _, loss, norm in pending]).tolist()
    return pairs
