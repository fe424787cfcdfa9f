"""What training gained over the untrained base: pictures of the same prompts from the same noise, compared in pairs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from trainers.contract import events


@dataclasses.dataclass(frozen=True)
class Gain:
    """The mean difference of `metric` to the base's, and its 95 % interval where there is one."""

    metric: str
    value: float
    low: float | None
    high: float | None


def of(metrics: Mapping[str, Any], objectives: Sequence[str]) -> Gain | None:
    """The gain that was recorded for the first objective that has one, else for the CLIP score."""
    for metric in (*objectives, "clip_score"):
        value = events.number(metrics.get(f"{metric}_gain"))
        if value is not None:
            low, high = (events.number(metrics.get(f"{metric}_gain_{end}")) for end in ("low", "high"))
            return Gain(metric, value, low, high)
    return None
