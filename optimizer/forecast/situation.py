"""Facts that rules may name beside the parameters: the GPU, the dataset, and what follows from a point.

`total_steps`, `effective_batch`, `warmup_share` and the estimates follow from the parameters, so they are columns like
them. Their names and meanings stand in `constraints.names.vocabulary`.
"""

import dataclasses
import logging
import math
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import numpy as np

from constraints.rules import ruleset as rulesets
from optimizer.forecast import estimates
from trainers.data import counters

logger = logging.getLogger(__name__)

#: how long the driver's tool may take to answer
_DRIVER_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Gpu:
    """The GPUs of this machine; `vram_gb` is the smallest one's memory in GiB."""

    count: int
    vram_gb: float | None


@dataclasses.dataclass(frozen=True)
class Situation:
    """What is known before any point is drawn."""

    gpu: Gpu
    #: the data set, and the steps that trials take over it
    counter: counters.StepCounter
    #: what trials take; None where nobody asks
    estimator: estimates.Estimator | None = None

    @property
    def images(self) -> int | None:
        """Images of the data set, each counted once; None where it is not known."""
        return None if self.counter.showings is None else self.counter.showings.images

    def for_rules(self, rules: rulesets.RuleSet) -> "Situation":
        """What rules need: estimates cost more to work out than most rules to judge."""
        return self if rules.inputs & estimates.NAMES else dataclasses.replace(self, estimator=None)

    def facts(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The facts that hold at a point, or at every point of a table.

        Args:
            values: complete parameters; each one value, or a column of shape (points,) with NaN where it is not set.

        Returns:
            Facts in the same form. What cannot be known is left out, or NaN at the points where it is not known.
        """
        counted = self.counter.count(values)
        total, warmup = counted.total_steps, counted.warmup_steps
        known = {
            "gpu.count": self.gpu.count,
            "gpu.vram_gb": self.gpu.vram_gb,
            "dataset.images": self.images,
            "dataset.steps_per_epoch": counted.steps_per_epoch,
            "total_steps": total,
            "effective_batch": counted.effective_batch,
            "warmup_share": None if warmup is None or total is None else warmup / total,
        }
        if self.estimator is not None:
            known |= self.estimator.facts(values, None if _is_unknown(total) else total)
        return {name: _plain(value) for name, value in known.items() if not _is_unknown(value)}


def _is_unknown(value: Any) -> bool:
    return value is None or (np.ndim(value) == 0 and math.isnan(value))


def _plain(value: Any) -> Any:
    """A column as it is, a single number as a float."""
    return value if np.ndim(value) else float(value)


def gpus() -> Gpu:
    """Ask the driver's own tool, so that torch need not be imported to know; a tool that fails knows of none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Gpu(count=0, vram_gb=None)
    command = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_DRIVER_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("no GPU is counted, since %s does not say which there are: %s", tool, error)
        return Gpu(count=0, vram_gb=None)
    lines = [line.strip() for line in asked.stdout.splitlines() if line.strip()]
    # a GPU that shares the machine's memory has none of its own, and says [N/A]
    sizes = [float(line) for line in lines if line.replace(".", "", 1).isdecimal()]
    return Gpu(count=len(lines), vram_gb=min(sizes) / 1024 if sizes else None)
