"""Facts that rules may name beside the parameters: the GPU, the dataset, and what follows from a point.

`total_steps`, `effective_batch`, `warmup_share` and the estimates follow from the parameters, so they are columns like
them.
"""

import dataclasses
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import numpy as np

from optimizer import estimates
from trainers import steps

#: everything a rule may name before a trial, beside parameters, derived names and limits
KNOWN = frozenset(
    {
        "gpu.count",
        "gpu.vram_gb",
        "dataset.images",
        "dataset.steps_per_epoch",
        "total_steps",
        "effective_batch",
        "warmup_share",
        "estimate.vram_gb",
        "estimate.minutes",
    }
)


@dataclasses.dataclass(frozen=True)
class Gpu:
    """The GPUs of this machine; `vram_gb` is the smallest one's memory in GiB."""

    count: int
    vram_gb: float | None


@dataclasses.dataclass(frozen=True)
class Situation:
    """What is known before any point is drawn. A field that is None is a missing fact."""

    gpu: Gpu
    #: images of the dataset, each counted once
    images: int | None
    #: how often each image is shown an epoch
    repeats: int = 1
    #: what trials take; None where nobody asks
    estimator: estimates.Estimator | None = None
    #: epochs of a trial that names no length; None where its trainer has no such default
    default_epochs: int | None = None

    def for_rules(self, text: str) -> "Situation":
        """What rules of this text need: estimates cost more to work out than most rules to judge."""
        return self if "estimate." in text else dataclasses.replace(self, estimator=None)

    def facts(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The facts that hold at a point, or at every point of a table.

        Args:
            values: complete parameters; each one value, or a column of shape (points,) with NaN where it is not set.

        Returns:
            Facts in the same form. What cannot be known is left out, or NaN at the points where it is not known.
        """
        known: dict[str, Any] = {"gpu.count": float(self.gpu.count)}
        if self.gpu.vram_gb is not None:
            known["gpu.vram_gb"] = self.gpu.vram_gb
        batch = _column(values, "train_batch_size", 1)
        accumulation = _column(values, "gradient_accumulation_steps", 1)
        known["effective_batch"] = batch * accumulation
        per_epoch = None
        if self.images is not None:
            known["dataset.images"] = float(self.images)
            per_epoch = known["dataset.steps_per_epoch"] = np.ceil(self.images * self.repeats / batch)
        total = self._total_steps(values, per_epoch, batch, accumulation)
        if total is not None:
            known["total_steps"] = total
            known["warmup_share"] = _warmup_share(values, total)
        if self.estimator is not None:
            known |= self.estimator.facts(values, total)
        return known

    def _total_steps(self, values: Mapping[str, Any], per_epoch: Any, batch: Any, accumulation: Any) -> Any:
        """Optimizer steps, from whichever of steps, samples and epochs is given; None where none can be worked out."""
        counted = []
        if "max_train_steps" in values:
            counted.append(values["max_train_steps"])
        if "max_train_samples" in values:
            counted.append(steps.of_samples(values["max_train_samples"], batch * accumulation))
        if "max_train_epochs" in values and per_epoch is not None:
            counted.append(steps.of_epochs(values["max_train_epochs"], per_epoch, accumulation))
        if self.default_epochs is not None and per_epoch is not None:
            counted.append(steps.of_epochs(self.default_epochs, per_epoch, accumulation))
        if not counted:
            return None
        total = counted[0]
        for other in counted[1:]:
            if np.isnan(total).any():
                total = np.where(np.isnan(total), other, total)
        return total


def _column(values: Mapping[str, Any], name: str, default: float) -> Any:
    """A parameter's value or column, with the default where it is not set."""
    value = values.get(name, default)
    return np.where(np.isnan(value), default, value) if isinstance(value, np.ndarray) else float(value)


def _warmup_share(values: Mapping[str, Any], total_steps: Any) -> Any:
    """Share of the steps in which the rate climbs: none where it is constant, as `trainers.steps.plan` has it."""
    share, scheduler = _warmup_asked(values, total_steps), values.get("lr_scheduler")
    if isinstance(scheduler, np.ndarray):
        return np.where(scheduler == "constant", 0.0, share)
    return 0.0 if scheduler == "constant" else share


def _warmup_asked(values: Mapping[str, Any], total_steps: Any) -> Any:
    by_steps = _column(values, "lr_warmup_steps", 0) / np.maximum(1.0, total_steps)
    ratio = values.get("lr_warmup_ratio")
    if isinstance(ratio, np.ndarray):
        return np.where(np.isnan(ratio), by_steps, ratio)
    return by_steps if ratio is None else float(ratio)


def gpus() -> Gpu:
    """Ask the driver's own tool, so that torch need not be imported to know."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Gpu(count=0, vram_gb=None)
    asked = subprocess.run(
        [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    sizes = [float(line) for line in asked.stdout.splitlines() if line.strip().replace(".", "").isdecimal()]
    return Gpu(count=len(sizes), vram_gb=min(sizes) / 1024 if sizes else None)
