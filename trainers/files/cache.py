"""Tensors that are computed once and shared by all trials and workers of a machine, keyed by content.

A key is a hash of everything that went into a value, so an entry can be missing but never stale. One process builds
at a time; the others wait for it and then read.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import filelock
import safetensors
import safetensors.torch
import torch

from trainers.files import atomic

NamedTensors = Mapping[str, torch.Tensor]


def key(**parts: Any) -> str:
    """The content key of what `parts` (JSON values) go into."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class TensorCache:
    """A folder of safetensors files, one an entry."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def fetch(self, keys: Sequence[str], build: Callable[[list[int]], Sequence[NamedTensors]]) -> list[NamedTensors]:
        """The entries of `keys`; `build` is given the positions of the missing ones and returns their values.

        Raises:
            OSError: the disk is full or failed.
        """
        if not all(map(self._readable, keys)):
            self._directory.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self._directory / ".lock"):
                missing = [position for position, each in enumerate(keys) if not self._readable(each)]
                for position, tensors in zip(missing, build(missing) if missing else (), strict=True):
                    contiguous = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
                    atomic.write(self._path(keys[position]), safetensors.torch.save(contiguous))
        return [safetensors.torch.load_file(self._path(each)) for each in keys]

    def _path(self, entry: str) -> pathlib.Path:
        return self._directory / entry[:2] / f"{entry}.safetensors"

    def _readable(self, entry: str) -> bool:
        """False also for a file that a crash of the machine left damaged: it is built again."""
        try:
            with safetensors.safe_open(self._path(entry), framework="pt"):
                return True
        except (OSError, safetensors.SafetensorError):
            return False
