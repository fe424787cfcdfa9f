"""Files of weights, looked at without loading them: can their headers be read, are they whole? Torch-free."""

import json
import pathlib
import struct
from collections.abc import Mapping
from typing import Any

from trainers.files import plain_files

#: a header of a model with a hundred thousand tensors is far smaller
MOST_HEADER_BYTES = 100_000_000
MOST_BYTES = 2**44
#: how files of torch.save begin: a zip archive, or a pickle of the older form
_TORCH = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def header(path: pathlib.Path) -> Mapping[str, Any]:
    """A safetensors file's header: eight bytes of length, then JSON (the format's own description).

    Raises:
        ValueError: it is none, or is cut off.
        OSError: it cannot be read.
    """
    plain_files.check(path, MOST_BYTES)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else MOST_HEADER_BYTES + 1
        if length > min(MOST_HEADER_BYTES, size - 8):
            raise ValueError("is no safetensors file, or is cut off")
        try:
            content = json.loads(file.read(length))
            end = max((each["data_offsets"][1] for name, each in content.items() if name != "__metadata__"), default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise ValueError("is no safetensors file: its header cannot be read") from None
    if end + 8 + length != size:
        raise ValueError(f"is not whole: its header speaks of {end + 8 + length:,} bytes, and it holds {size:,}")
    found: Mapping[str, Any] = content
    return found


def problem(path: pathlib.Path) -> str | None:
    """Why a file cannot hold weights, or None: the header of safetensors, else how torch's files begin."""
    try:
        if path.suffix == ".safetensors":
            header(path)
            return None
        plain_files.check(path, MOST_BYTES)
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as error:
        return plain_files.reason(error)
    except ValueError as error:
        return str(error)
    return None if begins.startswith(_TORCH) else "is no file of weights: neither safetensors nor torch's own"
