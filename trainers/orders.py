"""A job on its way through a recipe."""

import dataclasses
import pathlib
import time

from trainers import events, interruption, job, kept


@dataclasses.dataclass(frozen=True)
class Order:
    """A job, whom to tell about it, who may stop it, and what is kept for the next one."""

    job: job.TrainJob
    reporter: events.Reporter
    asked: interruption.Interruption
    kept: kept.Kept

    @property
    def cache(self) -> pathlib.Path:
        return pathlib.Path(self.job.cache)


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
