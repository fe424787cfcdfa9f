"""Options and renderings that several commands share."""

import json
import pathlib
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

#: a file; the command's own reader says what is wrong with it, also that it is not there
FILE = click.Path(path_type=pathlib.Path)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def print_json(record: Any, kind: Any = None) -> None:
    """A record, plain values, or records in a mapping or a sequence of this kind, as JSON on standard output."""
    from optimizer import jsonable

    click.echo(json.dumps(jsonable.of(record, kind), indent=1))


def fitted(text: str) -> str:
    """A text whose long lines are broken at the terminal's width, what follows set in a little deeper."""
    across = width()
    if across is None:
        return text
    lines = []
    for line in text.splitlines():
        deeper = " " * (len(line) - len(line.lstrip()) + 4)
        lines += textwrap.wrap(line, max(across, 20), subsequent_indent=deeper, break_on_hyphens=False) or [""]
    return "\n".join(lines)


def width() -> int | None:
    """Characters a line of the terminal that is written to; None for a pipe or a file, which hold any width."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
