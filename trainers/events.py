"""The event file: everything a trainer tells, one JSON object a line.

This module is all a user's own training script needs to be a trainer: open a `Reporter`, call its methods. It imports
nothing but the standard library.
"""

import dataclasses
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trainers import errors

#: event -> the fields that it must carry, in the order they happen in a healthy trial
FIELDS: dict[str, tuple[str, ...]] = {
    "job-started": ("pid", "device", "warm"),
    "loaded": ("seconds",),
    "baseline": ("metrics", "images"),
    "resumed": ("step",),
    "train-started": ("total_steps", "epochs", "images", "effective_batch"),
    "step": ("step", "epoch", "progress", "loss", "loss_ema", "grad_norm", "grad_norm_median", "learning_rate_now"),
    "evaluated": ("step", "samples", "point", "metrics", "seconds"),
    "checkpoint": ("step",),
    "trained": ("steps", "seconds"),
    "saved": ("path", "sha256"),
    "sampled": ("images", "seconds"),
    "scored": ("metrics", "images", "seconds"),
    "failed": ("kind", "step", "message"),
    "stopped": ("rule", "step"),
    "trial-finished": ("outcome", "seconds"),
    "job-finished": ("exit_code",),
}


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
            errors.EventError: the event is unknown or lacks a field that its reader counts on.
        """
        missing = [field for field in FIELDS.get(event, ()) if field not in data]
        if event not in FIELDS or missing:
            what = f"lacks {', '.join(missing)}" if event in FIELDS else f"is none of {', '.join(FIELDS)}"
            raise errors.EventError(f"event {event!r} {what}")
        now, told = time.time(), _finite(data)
        line = json.dumps({"time": now, "trial": trial, "event": event, **told})
        os.write(self._descriptor, line.encode() + b"\n")
        for listener in self.listeners:
            listener(Event(now, trial, event, told))

    def close(self) -> None:
        os.close(self._descriptor)


def read(path: pathlib.Path, offset: int = 0) -> tuple[list[Event], int]:
    """Read the events from byte `offset` on; returns them and the offset to go on from.

    A last line without its end is left for the next call: its writer may be in the middle of it. A missing file holds
    no events yet.

    Raises:
        errors.EventError: a complete line is no event.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            block = file.read()
    except FileNotFoundError:
        return [], offset
    complete = block[: block.rfind(b"\n") + 1]
    return list(_parse(complete, path, offset)), offset + len(complete)


def _parse(block: bytes, path: pathlib.Path, offset: int) -> Iterator[Event]:
    for line in block.splitlines(keepends=True):
        try:
            data = json.loads(line)
            event = Event(time=data.pop("time"), trial=data.pop("trial"), event=data.pop("event"), data=data)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise errors.EventError(f"{path}: byte {offset}: no event: {line[:80]!r}") from error
        offset += len(line)
        yield event


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
