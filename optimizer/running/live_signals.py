"""What an attempt shows to others while it runs: taken in from what its trainer tells, thinned, ready to be written."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from storage import signals
from trainers.contract import events

#: points of a curve; half of them are dropped when there are more
MOST_POINTS = 120
#: signals of which a curve is kept
CURVES = ("loss", "grad_norm", "learning_rate_now")
#: latest values that are kept; a trainer of one's own may tell any number
MOST_SIGNALS = 40

#: event -> what its trainer does after it
PHASES = {
    "job-started": "load",
    "loaded": "load",
    "train-started": "train",
    "trained": "sample",
    "sampled": "score",
}
#: fields of a step that are told as what they are, and not among the signals
_PLACES = ("step", "epoch", "progress")
_GIB = 2**30


@dataclasses.dataclass
class ThinnedCurve:
    """Signals at steps, spaced evenly over the whole training, never more than `MOST_POINTS`.

    Every so many steps that were told are kept, the first among them; the distance doubles when there are too many.
    """

    steps: list[int] = dataclasses.field(default_factory=list)
    values: dict[str, list[float | None]] = dataclasses.field(default_factory=lambda: {name: [] for name in CURVES})
    _every: int = 1
    _told: int = 0

    def add(self, step: int, told: Mapping[str, Any]) -> None:
        """Take in a step; one that does not come after those before it begins the curve anew."""
        if self.steps and step <= self.steps[-1]:
            self._every, self._told = 1, 0
            self.steps, self.values = [], {name: [] for name in CURVES}
        if self._told % self._every == 0:
            self.steps.append(step)
            for name in CURVES:
                self.values[name].append(events.number(told.get(name)))
        self._told += 1
        if len(self.steps) > MOST_POINTS:
            self._every *= 2
            self.steps, self.values = self.steps[::2], {name: values[::2] for name, values in self.values.items()}

    def columns(self) -> dict[str, Sequence[int | float | None]]:
        """`step` and each signal that was told at all; empty before the first step."""
        told = {name: values for name, values in self.values.items() if any(value is not None for value in values)}
        return {"step": list(self.steps), **told} if self.steps else {}


@dataclasses.dataclass
class LiveSignals:
    """What is known of one attempt by now."""

    phase: str = "launch"
    step: int | None = None
    total_steps: int | None = None
    latest: dict[str, float | None] = dataclasses.field(default_factory=dict)
    curve: ThinnedCurve = dataclasses.field(default_factory=ThinnedCurve)
    #: the trainer's time at the latest step
    told_at: float = 0.0
    #: of the trainer process, on this machine
    _pid: int | None = None
    #: step and trainer's time of the first step that this attempt told
    _first: tuple[int, float] | None = None

    def take(self, event: events.Event) -> None:
        """Take in what the trainer told."""
        self.phase = PHASES.get(event.event, self.phase)
        if event.event == "job-started":
            self._pid = event.data["pid"] if isinstance(event.data["pid"], int) else None
        elif event.event == "train-started":
            self.total_steps = int(event.data["total_steps"])
        elif event.event == "step":
            self._take_step(event)
        elif event.event == "evaluated":
            self._keep(event.data["metrics"])

    def _take_step(self, event: events.Event) -> None:
        self.phase, self.step, self.told_at = "train", int(event.data["step"]), event.time
        if self._first is None or self.step < self._first[0]:
            self._first = (self.step, event.time)
        self._keep({name: value for name, value in event.data.items() if name not in _PLACES})
        self.curve.add(self.step, event.data)

    def _keep(self, told: Mapping[str, Any]) -> None:
        for name, value in told.items():
            if (value is None or events.number(value) is not None) and (name in self.latest or self._has_room):
                self.latest[name] = events.number(value)

    @property
    def _has_room(self) -> bool:
        return len(self.latest) < MOST_SIGNALS

    def steps(self) -> str:
        """How far its training has come, in words."""
        return str(self.step) + (f" of {self.total_steps}" if self.total_steps else "")

    def seconds_a_step(self) -> float | None:
        """How long a step takes on the mean; None where nobody can know yet."""
        if self._first is None or self.step is None or self.step <= self._first[0]:
            return None
        return (self.told_at - self._first[1]) / (self.step - self._first[0])

    def train_seconds_left(self) -> float | None:
        """What its training still takes at its speed so far; None where nobody can know yet."""
        each = self.seconds_a_step()
        if each is None or self.step is None or self.total_steps is None or self.phase != "train":
            return None
        return each * max(0, self.total_steps - self.step)

    def signals(self) -> signals.AttemptSignals:
        """All of it, as it is written; what the trainer's process takes of this machine's memory is looked up."""
        own = {"seconds_a_step": self.seconds_a_step(), "memory_gb": _memory_gb(self._pid)}
        return signals.AttemptSignals(
            phase=self.phase,
            step=self.step,
            total_steps=self.total_steps,
            seconds_left=self.train_seconds_left(),
            latest={**self.latest, **{name: value for name, value in own.items() if value is not None}},
            curve=self.curve.columns(),
        )


def _memory_gb(pid: int | None) -> float | None:
    """Resident memory of a process in GiB; None where it has ended, or is not ours to look at."""
    try:
        return None if pid is None else round(float(psutil.Process(pid).memory_info().rss) / _GIB, 3)
    except (psutil.Error, ValueError):
        return None
