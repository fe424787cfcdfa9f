"""What a process and its children print, kept in a file of the job that they work on. Torch-free."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

#: standard output and standard error
_STREAMS = (1, 2)


@contextlib.contextmanager
def into(path: pathlib.Path) -> Iterator[None]:
    """Whatever is printed inside, by libraries in C and by children too, goes to the end of `path`.

    Raises:
        OSError: the file cannot be written.
    """
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    _flush()
    before = [os.dup(stream) for stream in _STREAMS]
    for stream in _STREAMS:
        os.dup2(log, stream)
    os.close(log)
    try:
        yield
    finally:
        _flush()
        for stream, kept in zip(_STREAMS, before, strict=True):
            os.dup2(kept, stream)
            os.close(kept)


def say(text: str) -> None:
    """Print a line for people; a disk that takes no more keeps it."""
    with contextlib.suppress(OSError):
        print(f"trainers: {text}", file=sys.stderr, flush=True)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
