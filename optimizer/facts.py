"""Facts that rules may name beside the parameters: the GPU, the dataset, and what follows from a point.

`total_steps`, `effective_batch` and `warmup_share` follow from the parameters, so they are columns like them.
"""

import dataclasses
import math
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

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

    def facts(self, point: Mapping[str, Any]) -> dict[str, float]:
        """The facts that hold at a point (complete parameters); what cannot be known is left out."""
        known: dict[str, float] = {"gpu.count": float(self.gpu.count)}
        if self.gpu.vram_gb is not None:
            known["gpu.vram_gb"] = self.gpu.vram_gb
        accumulation = int(point.get("gradient_accumulation_steps", 1))
        batch = int(point.get("train_batch_size", 1))
        known["effective_batch"] = float(batch * accumulation)
        if self.images is None:
            return known
        known["dataset.images"] = float(self.images)
        known["dataset.steps_per_epoch"] = float(math.ceil(self.images * self.repeats / batch))
        total = self._total_steps(point, known["dataset.steps_per_epoch"], accumulation)
        if total is not None:
            known["total_steps"] = float(total)
            known["warmup_share"] = _warmup_share(point, total)
        return known

    def _total_steps(self, point: Mapping[str, Any], per_epoch: float, accumulation: int) -> int | None:
        if "max_train_epochs" in point:
            return int(point["max_train_epochs"]) * math.ceil(per_epoch / accumulation)
        if "max_train_samples" in point:
            return math.ceil(int(point["max_train_samples"]) / (int(point.get("train_batch_size", 1)) * accumulation))
        return None


def _warmup_share(point: Mapping[str, Any], total_steps: int) -> float:
    if "lr_warmup_ratio" in point:
        return float(point["lr_warmup_ratio"])
    return float(point.get("lr_warmup_steps", 0)) / max(1, total_steps)


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
