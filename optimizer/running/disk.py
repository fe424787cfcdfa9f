"""The disk that attempts write to: a folder of one's own, and one sentence for a disk that takes no more."""

import contextlib
import pathlib
from collections.abc import Iterator

from optimizer import errors
from trainers.files import atomic


@contextlib.contextmanager
def writing(folder: pathlib.Path) -> Iterator[None]:
    """What goes wrong with files inside is the disk's fault.

    Raises:
        errors.BadInput: something did; the message names the file.
    """
    try:
        yield
    except OSError as error:
        raise errors.BadInput(
            f"{error.filename or folder}: {error.strerror}; make room there or mend it, then run the same command again"
        ) from error


def make_own(folder: pathlib.Path) -> None:
    """Make the folder of an attempt; what another one left there would be read as what this one tells.

    Raises:
        errors.BadInput: it is there already.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise errors.BadInput(
            f"{folder}: is there already, but was not made by this attempt; move it away, or give this database a data "
            "folder of its own (TUNEGUARD_HOME)"
        ) from error


def probe(folder: pathlib.Path) -> None:
    """Write a little and take it away again.

    Raises:
        OSError: the disk takes nothing.
    """
    file = folder / "probe"
    atomic.write(file, bytes(4096))
    file.unlink()
