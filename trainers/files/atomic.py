"""Files that are whole or absent, never half-written, also when the power goes."""

import contextlib
import os
import pathlib
from collections.abc import Callable


def write(path: pathlib.Path, data: bytes) -> None:
    """Write `data` to `path` in one stroke; a full disk leaves neither a half file nor a temporary one.

    Raises:
        OSError: the disk is full or failed.
    """
    build(path, lambda temporary: temporary.write_bytes(data))


def build(path: pathlib.Path, write_to: Callable[[pathlib.Path], object]) -> None:
    """As `write`, for content that writes itself to a path it is given (same folder, same suffix)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write_to(temporary)
        _to_disk(temporary)
        os.replace(temporary, path)
        _to_disk(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _to_disk(path: pathlib.Path) -> None:
    """Wait until a file's content, or the names in a folder, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
