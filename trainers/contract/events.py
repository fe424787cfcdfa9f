"""The event file: everything a trainer tells, one JSON object a line.

This module is all a user's own training script needs to be a trainer: open a `Reporter`, call its methods. It imports
nothing but the standard library.
"""

import dataclasses
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trainers.contract import errors

#: event -> the fields that it must carry, in the order they happen in a healthy trial
FIELDS: dict[str, tuple[str, ...]] = {
    "job-started": ("pid", "device", "warm"),
    "loaded": ("seconds",),
    "baseline": ("metrics", "images"),
    "resumed": ("step",),
    "train-started": ("total_steps", "epochs", "images", "effective_batch"),
    "step": ("step", "epoch", "progress", "loss", "loss_ema", "grad_norm", "grad_norm_median", "learning_rate_now"),
    "evaluated": ("step", "samples", "milestone", "metrics", "seconds"),
    "checkpoint": ("step",),
    "checkpoint-set-aside": ("path", "message"),
    "trained": ("steps", "seconds"),
    "saved": ("path", "sha256"),
    "sampled": ("images", "seconds"),
    "scored": ("metrics", "images", "seconds"),
    "failed": ("kind", "step", "message"),
    "stopped": ("rule", "step"),
    "trial-finished": ("outcome", "seconds"),
    "job-finished": ("exit_code",),
}

#: how a trial can end
OUTCOMES = ("finished", "failed", "stopped", "interrupted")


@dataclasses.dataclass(frozen=True)
class Event:
    """One line of an event file. `trial` is None for what concerns the whole job; `time` is seconds since the epoch."""

    time: float
    trial: int | None
    event: str
    data: Mapping[str, Any]


class Reporter:
    """Appends events to a file; each event is one write, so that a reader never sees half of one that was told.

    Non-finite numbers become null, since JSON has none; the `failed` event names them. `listeners` see each event after
    it was written; they must not raise.
    """

    def __init__(self, path: pathlib.Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.listeners: list[Callable[[Event], None]] = []

    def tell(self, event: str, trial: int | None = None, **data: Any) -> None:
        """Append one event.

        Raises:
            errors.EventError: the event is unknown, or a field that its reader counts on is missing or of another kind.
        """
        now, told = time.time(), _finite(data)
        problem = _problem(event, told)
        if problem is not None:
            raise errors.EventError(f"event {event!r} {problem}")
        line = json.dumps({"time": now, "trial": trial, "event": event, **told})
        os.write(self._descriptor, line.encode() + b"\n")
        for listener in self.listeners:
            listener(Event(now, trial, event, told))

    def close(self) -> None:
        os.close(self._descriptor)


class Reader:
    """Reads an event file from its start while it grows; a missing file holds no events yet.

    A last line without its end is left for the next look: its writer may be in the middle of it. A line that is no
    event is left out and named in `problems`. A file that was made shorter is read again from its start, without the
    events that were read before.
    """

    def __init__(self, path: pathlib.Path, offset: int = 0) -> None:
        self.path = path
        #: where the next look begins, in bytes
        self.offset = offset
        #: lines that are no events, each with its file and number
        self.problems: list[str] = []
        self._lines = 0
        self._last = b""
        self._newest = self._known_until = -math.inf

    def fresh(self) -> list[Event]:
        """The events that came since the last look."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset - len(self._last))
                block = file.read()
        except FileNotFoundError:
            return []
        if not block.startswith(self._last):
            self.offset, self._lines, self._last, self._known_until = 0, 0, b"", self._newest
            return self.fresh()
        *lines, _unfinished = block[len(self._last) :].split(b"\n")
        return [event for line in lines for event in self._events(line + b"\n")]

    def _events(self, line: bytes) -> Iterable[Event]:
        self._lines, self._last, self.offset = self._lines + 1, line, self.offset + len(line)
        try:
            event = _parse(line)
        except ValueError as error:
            problem = f"{self.path}:{self._lines}: {error}: {line[:80]!r}"
            if problem not in self.problems:
                self.problems.append(problem)
            # a line that lost its end is continued by the next event, which is whole
            begins = line.rfind(b'{"time"')
            return () if begins <= 0 else self._whole(line[begins:])
        return self._unread(event)

    def _whole(self, line: bytes) -> Iterable[Event]:
        try:
            return self._unread(_parse(line))
        except ValueError:
            return ()

    def _unread(self, event: Event) -> Iterable[Event]:
        if event.time <= self._known_until:
            return ()
        self._newest = max(self._newest, event.time)
        return (event,)


def read(path: pathlib.Path, offset: int = 0) -> tuple[list[Event], int]:
    """The events from byte `offset` on, and the offset to go on from; see `Reader`."""
    reader = Reader(path, offset)
    return reader.fresh(), reader.offset


def _parse(line: bytes) -> Event:
    """An event from its line.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    if not isinstance(data, dict) or not {"time", "trial", "event"} <= data.keys():
        raise ValueError("no event: an object with time, trial and event is wanted")
    told, trial, name = data.pop("time"), data.pop("trial"), data.pop("event")
    found = _finite(data)
    if not is_number(_finite(told)) or not (trial is None or _is_whole(trial)) or not isinstance(name, str):
        raise ValueError("no event: time must be a number, trial a whole number or null, event a name")
    problem = _problem(name, found)
    if problem is not None:
        raise ValueError(f"event {name!r} {problem}")
    return Event(float(told), trial, name, found)


def _problem(event: str, data: Mapping[str, Any]) -> str | None:
    """What keeps a reader from counting on an event, in words that follow its name."""
    if event not in FIELDS:
        return f"is none of {', '.join(FIELDS)}"
    missing = [field for field in FIELDS[event] if field not in data]
    if missing:
        return f"lacks {', '.join(missing)}"
    for (name, field), (is_right, wanted) in _FORMS.items():
        if name == event and not is_right(data[field]):
            return f"has {field} {data[field]!r:.40}; it must be {wanted}"
    return None


def is_number(value: Any) -> bool:
    """Whether what was told is a number; a truth is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(told: Any) -> float | None:
    """What was told as a float; None where it is no number."""
    return float(told) if is_number(told) else None


def _is_whole(value: Any) -> bool:
    """A whole number that a column of four bytes takes."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


def _is_step(value: Any) -> bool:
    return value is None or _is_whole(value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    """A text that is kept as it is; Postgres knows no NUL."""
    return isinstance(value, str) and "\x00" not in value


def _is_sha256(value: Any) -> bool:
    return _is_name(value) and len(value) <= 64


def _are_pictures(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) and _is_name(each.get("path")) for each in value)


_WHOLE = (_is_whole, "a whole number")
_STEP = (_is_step, "a whole number or null")
_MAPPING = (_is_mapping, "an object")
_TEXT = (_is_text, "a text")
_NAME = (_is_name, "a text without NUL")
#: what a reader does more with than show it: (event, field) -> whether it can, and what that takes
_FORMS: Mapping[tuple[str, str], tuple[Callable[[Any], bool], str]] = {
    ("baseline", "metrics"): _MAPPING,
    ("resumed", "step"): _WHOLE,
    ("train-started", "total_steps"): _WHOLE,
    ("step", "step"): _WHOLE,
    ("step", "progress"): (is_number, "a number"),
    ("evaluated", "step"): _WHOLE,
    ("evaluated", "samples"): _WHOLE,
    ("evaluated", "milestone"): _WHOLE,
    ("evaluated", "metrics"): _MAPPING,
    ("checkpoint", "step"): _WHOLE,
    ("checkpoint-set-aside", "message"): _TEXT,
    ("trained", "steps"): _WHOLE,
    ("saved", "path"): _NAME,
    ("saved", "sha256"): (_is_sha256, "a text of at most 64 characters"),
    ("scored", "metrics"): _MAPPING,
    ("scored", "images"): (_are_pictures, "a list of objects with a path"),
    ("failed", "kind"): _NAME,
    ("failed", "step"): _STEP,
    ("failed", "message"): _TEXT,
    ("stopped", "rule"): _NAME,
    ("stopped", "step"): _STEP,
    ("trial-finished", "outcome"): (lambda value: value in OUTCOMES, f"one of {', '.join(OUTCOMES)}"),
    ("trial-finished", "seconds"): _MAPPING,
    ("job-finished", "exit_code"): _WHOLE,
}


def _finite(value: Any) -> Any:
    """JSON with null for each number that is not finite, or that no float holds."""
    if is_number(value):
        return value if abs(value) <= sys.float_info.max else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
