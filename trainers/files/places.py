"""Paths as people write them: what is one, and where it leads from the file that names it."""

import os
import pathlib

#: weights come in these
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def looks_like_path(source: str) -> bool:
    """Whether a text that may be a name as well is a path."""
    return source.startswith((".", "/", "~")) or source.endswith(SUFFIXES)


def absolute(path: str, folder: pathlib.Path) -> str:
    """A path from a file's folder on; its own last name stays, wherever a link of that name leads."""
    whole = folder / os.path.expanduser(path)
    if whole.name in ("", ".."):
        return os.path.realpath(whole)
    return os.path.join(os.path.realpath(whole.parent), whole.name)
