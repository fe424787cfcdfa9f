"""A caption as it stands beside its picture, and what a text encoder will make of it. Torch-free."""

import pathlib
import re

from trainers.files import plain_files

#: far more than any text encoder reads; a larger file is something else
MOST_BYTES = 64 * 2**10
#: tokens that CLIP's text encoders read, beside those for beginning and end
MOST_TOKENS = 75

#: what CLIP's tokenizer splits a text into first: each piece is a token or more
_PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|_|[^\s\w]+", re.IGNORECASE)


def read(path: pathlib.Path) -> str:
    """A caption file's text in one line.

    Raises:
        OSError: it is missing, no plain file, too large or no UTF-8 text.
    """
    return " ".join(plain_files.read_text(path, MOST_BYTES).split())


def pieces(text: str) -> int:
    """How many tokens a text has at least."""
    return len(_PIECE.findall(text))


def is_cut(text: str) -> bool:
    """Whether a text encoder is sure to leave out the end of a text."""
    return pieces(text) > MOST_TOKENS
