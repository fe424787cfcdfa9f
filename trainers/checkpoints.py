"""Everything a trial needs to go on where it was: LoRA, optimizer, schedule, loss scale and running signals."""

import io
import pathlib
import zipfile
from typing import Any

import torch

from trainers import atomic, errors

State = dict[str, Any]


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
