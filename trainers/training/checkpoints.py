"""Everything a trial needs to go on where it was: LoRA, optimizer, schedule, loss scale and running signals."""

import copy
import dataclasses
import io
import itertools
import os
import pathlib
import pickle
import zipfile
from collections.abc import Sequence
from typing import Any

import torch

from trainers.contract import errors
from trainers.files import atomic
from trainers.training import health

StateDict = dict[str, Any]

#: what reading a damaged file raises, or one that another version of a library wrote
_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


class Unusable(Exception):
    """A checkpoint that a trial cannot go on from; the message says why."""


@dataclasses.dataclass(frozen=True)
class Restored:
    """Where a trial goes on: after `step` steps; 0 begins anew.

    `set_aside` is where a checkpoint lies now that could not be used, and `why` what was wrong with it.
    """

    step: int
    set_aside: pathlib.Path | None = None
    why: str = ""


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """The changing parts of a training. `fingerprint` names everything they depend on; `scaler` only fp16 has."""

    fingerprint: str
    weights: Sequence[torch.nn.Parameter]
    optimizer: Any
    schedule: Any
    scaler: Any
    health: health.Health

    def save(self, folder: pathlib.Path, step: int) -> None:
        """Write a checkpoint as of `step`; see `save`."""
        save(folder, self._state(step))

    def restore(self, folder: pathlib.Path, device: torch.device) -> Restored:
        """Go back to the checkpoint in `folder`, if there is one that fits.

        One that cannot be used is kept under another name, and the trial begins anew: its steps are lost either way,
        and it must not hold up one worker after another.
        """
        beginning = copy.deepcopy(self._state(0))
        try:
            state = load(folder, self.fingerprint, device)
            if state is None:
                return Restored(0)
            self._go_to(state)
            self._same_optimizer_as(beginning)
        except torch.OutOfMemoryError:
            raise  # the device's affair; the checkpoint is as good as before
        except (Unusable, *_UNREADABLE) as error:
            self._go_to(beginning)
            return Restored(0, set_aside(folder), errors.reason(error))
        return Restored(int(state["step"]))

    def _state(self, step: int) -> StateDict:
        return {
            "fingerprint": self.fingerprint,
            "step": step,
            "weights": [weight.detach() for weight in self.weights],
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "health": self.health.state(),
        }

    def _same_optimizer_as(self, beginning: StateDict) -> None:
        """Whether the groups still hold all that this optimizer steps by: loading takes those of any other as well.

        Raises:
            Unusable: they do not.
        """
        for first, group in zip(beginning["optimizer"]["param_groups"], self.optimizer.param_groups, strict=True):
            missing = sorted(first.keys() - group.keys())
            if missing:
                raise Unusable(f"the checkpoint was written by another optimizer, which has no {', '.join(missing)}")

    @torch.no_grad()
    def _go_to(self, state: StateDict) -> None:
        for weight, saved in zip(self.weights, state["weights"], strict=True):
            weight.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.health.restore(state["health"])


def save(folder: pathlib.Path, state: StateDict) -> None:
    """Write a checkpoint; the one before it stays until this one is whole and on the disk.

    Raises:
        OSError: the disk is full or failed.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic.write(_file(folder), buffer.getvalue())


def load(folder: pathlib.Path, fingerprint: str, device: torch.device) -> StateDict | None:
    """The checkpoint in `folder`, or None where there is none.

    Raises:
        Unusable: it belongs to other parameters, another base or other images, or cannot be read.
    """
    path = _file(folder)
    if not path.is_file():
        return None
    try:
        state: StateDict = torch.load(path, map_location=device, weights_only=True)
        found = state["fingerprint"]
    except torch.OutOfMemoryError:
        raise
    except _UNREADABLE as error:
        raise Unusable(f"the checkpoint cannot be read ({errors.reason(error)})") from error
    if found != fingerprint:
        raise Unusable("the checkpoint belongs to other parameters, another base or other images")
    return state


def set_aside(folder: pathlib.Path) -> pathlib.Path:
    """Give the checkpoint in `folder` a name that nobody goes on from; returns where it lies then.

    Raises:
        OSError: the disk failed, or the folder may not be written.
    """
    names = (folder / f"unusable-{number}.pt" for number in itertools.count(1))
    kept = next(name for name in names if not name.exists())
    os.replace(_file(folder), kept)
    return kept


def _file(folder: pathlib.Path) -> pathlib.Path:
    return folder / "state.pt"
