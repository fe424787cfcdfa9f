"""A job on its way through a recipe."""

import dataclasses
import pathlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainers.contract import events, interruption, job, paths
from trainers.lora import sections

if TYPE_CHECKING:
    from trainers.recipes import kept


@dataclasses.dataclass(frozen=True)
class Order:
    """A job, whom to tell about it, who may stop it, and what is kept for the next one."""

    job: sections.LoraJob
    reporter: events.Reporter
    asked: interruption.Interruption
    kept: "kept.Kept"

    @property
    def cache(self) -> pathlib.Path:
        return pathlib.Path(self.job.cache)

    @property
    def console(self) -> pathlib.Path:
        """Where what is printed meanwhile can be read, also by other processes that are started for the job."""
        return paths.JobPaths(pathlib.Path(self.job.directory)).console


def refuse(reporter: events.Reporter, spec: job.TrialSpec, message: str, seconds: Mapping[str, float]) -> None:
    """Tell that a trial's parameters contradict each other, which is its end and nobody else's."""
    kind = "contradictory-parameters"
    reporter.tell("failed", spec.number, kind=kind, step=None, message=message, evidence={}, fatal=True)
    reporter.tell("trial-finished", spec.number, outcome="failed", seconds=dict(seconds))


class Clock:
    """Adds the seconds spent inside to one phase, also when it ends in an exception.

    `within` names the phase that it interrupts, whose own clock is running: these seconds are not that one's.
    """

    def __init__(self, seconds: dict[str, float], phase: str, within: str | None = None) -> None:
        self._seconds, self._phase, self._within = seconds, phase, within

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        spent = time.monotonic() - self._started
        self._seconds[self._phase] += spent
        if self._within is not None:
            self._seconds[self._within] -= spent
