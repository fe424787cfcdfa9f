"""Plain columns: a record a line, whatever the width. What does not fit is left out whole and named, never cut."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optimizer import wording

#: between two columns
_GAP = 2

#: the field's own short words for long names, where there is no room for those
SHORT = {
    "gradient_accumulation_steps": "accum",
    "learning_rate": "lr",
    "lr_scheduler": "scheduler",
    "lr_scheduler_num_cycles": "cycles",
    "lr_warmup_ratio": "warmup",
    "max_train_epochs": "epochs",
    "max_train_steps": "steps",
    "network_alpha": "alpha",
    "network_alpha_ratio": "alpha /dim",
    "network_dim": "dim",
    "optimizer_type": "optimizer",
    "text_encoder_lr": "te lr",
    "text_encoder_lr_ratio": "te lr /lr",
    "train_batch_size": "batch",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: its `name` and a cell for each line. Figures stand right, words left.

    `rank` says which columns find room first, the lowest; where they stand is the order they are given in.
    """

    name: str
    cells: Sequence[str]
    is_figure: bool = True
    rank: float = 0.0


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns that were laid out. `left_out` names those that found no room."""

    lines: Sequence[str]
    left_out: Sequence[str]


def of_parameters(
    points: Sequence[Mapping[str, Any]], names: Sequence[str], digits: int
) -> tuple[dict[str, Any], list[Column]]:
    """What is the same in all of several points, and a column for each parameter that is not; without unset ones."""
    same: dict[str, Any] = {}
    differing: list[Column] = []
    for name in names:
        values = [point.get(name) for point in points]
        if all(value is None for value in values):
            continue
        if len(points) > 1 and all(value == values[0] for value in values):
            same[name] = values[0]
            continue
        cells = [wording.value(value, digits) for value in values]
        figures = all(isinstance(value, int | float) or value is None for value in values)
        # what differs most finds room first: a rate before a choice of two
        differing.append(Column(name, cells, figures, rank=1 + 1 / len(set(cells))))
    return same, differing


def whole(columns: Sequence[Column]) -> Table:
    """Every column under its full name, as wide as it needs: for a pipe, and for who asks for everything."""
    return Table(_lines(columns, [[column.name] for column in columns]), ())


def fitted(columns: Sequence[Column], width: int) -> Table:
    """The columns that fit into `width` characters, by rank.

    Names are written in full where that fits with all columns; else short, and broken at their underscores.
    """
    full = [[column.name] for column in columns]
    if sum(_width(column, head) + _GAP for column, head in zip(columns, full, strict=True)) - _GAP <= width:
        return Table(_lines(columns, full), ())
    heads = {column.name: _broken(column.name) for column in columns}
    taken: set[str] = set()
    used = -_GAP
    for column in sorted(columns, key=lambda each: each.rank):
        needed = _width(column, heads[column.name]) + _GAP
        if used + needed <= width or not taken:
            taken.add(column.name)
            used += needed
    shown = [column for column in columns if column.name in taken]
    left_out = [column.name for column in columns if column.name not in taken]
    return Table(_lines(shown, [heads[column.name] for column in shown]), left_out)


def _broken(name: str) -> list[str]:
    return SHORT.get(name, name.replace("_", " ")).split()


def _width(column: Column, head: Sequence[str]) -> int:
    return max(map(len, (*head, *column.cells)))


def _lines(columns: Sequence[Column], heads: Sequence[Sequence[str]]) -> list[str]:
    height = max(map(len, heads), default=0)
    rows = max((len(column.cells) for column in columns), default=0)
    written = []
    for column, head in zip(columns, heads, strict=True):
        width = _width(column, head)
        align: Callable[[str, int], str] = str.rjust if column.is_figure else str.ljust
        padded = [""] * (height - len(head))
        written.append([align(cell, width) for cell in (*padded, *head, *column.cells)])
    return [(" " * _GAP).join(column[row] for column in written).rstrip() for row in range(height + rows)]
