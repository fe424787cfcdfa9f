"""Reading what a person names: plain files of a stated largest size. Torch-free.

A pipe would be waited for, and a device read, for ever; neither is opened.
"""

import os
import pathlib
import stat

#: what is read at most as text: prompts, captions of a whole folder
MOST_TEXT = 16 * 2**20


class NotPlain(OSError):
    """What stands there is no file that is read; the message says why and what to do."""


def check(path: pathlib.Path, most_bytes: int) -> None:
    """See that a path names a plain file of at most `most_bytes` bytes.

    Raises:
        OSError: there is none, or it is something else or larger.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise NotPlain(f"is {_kind(found.st_mode)}, no plain file; name a file")
    if found.st_size > most_bytes:
        raise NotPlain(f"holds {found.st_size:,} bytes; at most {most_bytes:,} are read")


def read(path: pathlib.Path, most_bytes: int) -> bytes:
    """The bytes of a plain file.

    Raises:
        OSError: as `check`, or it cannot be read.
    """
    check(path, most_bytes)
    return path.read_bytes()


def read_text(path: pathlib.Path, most_bytes: int = MOST_TEXT) -> str:
    """The text of a plain UTF-8 file, without a byte order mark.

    Raises:
        OSError: as `check`, it cannot be read, or it is no UTF-8 text.
    """
    content = read(path, most_bytes)
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise NotPlain(f"line {line} holds a NUL byte; is it text? Save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise NotPlain(
            f"line {line} holds byte 0x{content[error.start]:02x}, which is not UTF-8; save it as UTF-8"
        ) from error


def reason(error: OSError) -> str:
    """Why a file was not read, without its path."""
    return str(error) if isinstance(error, NotPlain) else os.strerror(error.errno or 0) if error.errno else str(error)


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "something else"
