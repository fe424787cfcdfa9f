"""A number that a trainer tells of each finished trial, known before one has run. Torch-free."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

#: whether a trainer's evaluation gives a metric what it needs
Needs: TypeAlias = Callable[[Any], bool]


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number that a trainer tells of each trial; `condition` says in words what `is_told` asks of an evaluation.

    `by_instance` says that milestones tell it for each instance (prompt, clip) alone, too, which a paired test
    compares trials by.
    """

    name: str
    meaning: str
    condition: str = ""
    is_told: Needs = lambda _evaluation: True
    by_instance: bool = False


MetricTable: TypeAlias = Mapping[str, Metric]


def table(*metrics: Metric) -> MetricTable:
    """Metrics by name."""
    return {metric.name: metric for metric in metrics}
