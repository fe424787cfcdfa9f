"""Watches a training's loss and gradient norm and says when going on is pointless. Torch-free, one call a step."""

import collections
import dataclasses
import math
import statistics
from typing import Any

from trainers.contract import job

#: steps on end with a gradient far above its median before the training counts as exploded
EXPLODING_STEPS = 5
#: steps that the running median looks back on
MEDIAN_WINDOW = 200
#: weight of the newest loss in its moving average
EMA_WEIGHT = 0.05
#: overflows on end that fp16's loss scaling may need to find its scale (65536 halves 16 times to reach 1)
SCALING_OVERFLOWS = 20


@dataclasses.dataclass(frozen=True)
class Symptom:
    """A failure that was found: its kind (`trainers.contract.failures`), the step it shows at, and its evidence."""

    kind: str
    step: int
    message: str
    evidence: dict[str, Any]


class Health:
    """The running state behind the live signals; `state()` and `restore()` carry it through a checkpoint."""

    def __init__(self, thresholds: job.Thresholds, *, loss_scaling: bool = False) -> None:
        self.loss_ema: float | None = None
        self._thresholds = thresholds
        self._norms: collections.deque[float] = collections.deque(maxlen=MEDIAN_WINDOW)
        self._exploding = 0
        self._overflows = 0
        self._tolerated_overflows = SCALING_OVERFLOWS if loss_scaling else 0

    @property
    def grad_norm_median(self) -> float:
        """The running median of the gradient norm before clipping; NaN before the first step."""
        return statistics.median(self._norms) if self._norms else math.nan

    def observe(self, step: int, loss: float, grad_norm: float) -> Symptom | None:
        """Take in one optimizer step's mean loss and gradient norm (before clipping)."""
        if not math.isfinite(loss):
            return Symptom("nonfinite-loss", step, f"the loss is {loss} at step {step}", {"loss": loss})
        self.loss_ema = loss if self.loss_ema is None else self.loss_ema + EMA_WEIGHT * (loss - self.loss_ema)
        if not math.isfinite(grad_norm):
            return self._overflow(step, grad_norm)
        self._overflows = 0
        return self._explosion(step, grad_norm)

    def _overflow(self, step: int, grad_norm: float) -> Symptom | None:
        self._overflows += 1
        if self._overflows <= self._tolerated_overflows:
            return None
        message = f"the gradient norm is {grad_norm} at step {step}"
        return Symptom("nonfinite-gradient", step, message, {"grad_norm": grad_norm})

    def _explosion(self, step: int, grad_norm: float) -> Symptom | None:
        median, ratio = self.grad_norm_median, self._thresholds.grad_norm_ratio
        known = step > self._thresholds.grad_norm_after_step and median > 0
        if not (known and grad_norm > ratio * median):
            self._exploding = 0
            self._norms.append(grad_norm)
            return None
        self._exploding += 1  # such norms stay out of the median: they would make themselves normal
        if self._exploding < EXPLODING_STEPS:
            return None
        message = (
            f"the gradient norm is {grad_norm:.3g} at step {step}, {grad_norm / median:.0f} times its running median "
            f"{median:.3g}, for {EXPLODING_STEPS} steps on end"
        )
        return Symptom("exploding-gradient", step, message, {"grad_norm": grad_norm, "grad_norm_median": median})

    def state(self) -> dict[str, Any]:
        return {
            "loss_ema": self.loss_ema,
            "norms": list(self._norms),
            "exploding": self._exploding,
            "overflows": self._overflows,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.loss_ema = state["loss_ema"]
        self._norms = collections.deque(state["norms"], maxlen=MEDIAN_WINDOW)
        self._exploding = int(state["exploding"])
        self._overflows = int(state["overflows"])
