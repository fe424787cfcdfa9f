"""Files that are whole or absent, never half-written."""

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
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
