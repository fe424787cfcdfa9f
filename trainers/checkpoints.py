"""Everything a trial needs to go on where it was: LoRA, optimizer, schedule, loss scale and running signals."""

import dataclasses
import io
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import torch

from trainers import atomic, errors, health

State = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class TrialState:
    """The changing parts of a training. `fingerprint` names everything they depend on; `scaler` only fp16 has."""

    fingerprint: str
    weights: Sequence[torch.nn.Parameter]
    optimizer: Any
    schedule: Any
    scaler: Any
    health: health.Health

    def save(self, folder: pathlib.Path, step: int) -> None:
        """Write a checkpoint as of `step`; see `save`."""
        state = {
            "fingerprint": self.fingerprint,
            "step": step,
            "weights": [weight.detach() for weight in self.weights],
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "health": self.health.state(),
        }
        save(folder, state)

    @torch.no_grad()
    def restore(self, folder: pathlib.Path, device: torch.device) -> int:
        """Go back to the checkpoint in `folder`, if there is one; returns the steps already done. See `load`."""
        state = load(folder, self.fingerprint, device)
        if state is None:
            return 0
        for weight, saved in zip(self.weights, state["weights"], strict=True):
            weight.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.health.restore(state["health"])
        return int(state["step"])


def save(folder: pathlib.Path, state: State) -> None:
    """Write a checkpoint; the one before it stays until this one is whole.

    Raises:
        OSError: the disk is full or failed.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic.write(_file(folder), buffer.getvalue())


def load(folder: pathlib.Path, fingerprint: str, device: torch.device) -> State | None:
    """The checkpoint in `folder`, or None where there is none.

    Raises:
        errors.JobError: it belongs to other parameters, another base or other images, or cannot be read.
    """
    path = _file(folder)
    if not path.is_file():
        return None
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise errors.JobError(f"{path}: the checkpoint cannot be read ({error}); remove it to start over") from error
    if state["fingerprint"] != fingerprint:
        raise errors.JobError(
            f"{path}: the checkpoint belongs to other parameters, another base or other images; "
            "remove it to start over, or give the trial its own directory"
        )
    return state


def _file(folder: pathlib.Path) -> pathlib.Path:
    return folder / "state.pt"
