"""What compiled rules are given: values by name, bound to the inputs that a program numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from constraints.names.scope import ExpressionKind, Symbol
from constraints.text.errors import PointError

#: larger values take the careful path, since their products may overflow
_LARGE = 1e30
_NOTHING = np.array(None, dtype=object)


@dataclass(frozen=True)
class Slot:
    """One input of the compiled rules."""

    name: str
    kind: ExpressionKind
    #: whether NaN stands for 'there is none' (columns have no other way to say so) or for a value gone wrong
    nan_is_unset: bool

    @classmethod
    def of(cls, symbol: Symbol) -> Slot:
        """The input that a name's values go to."""
        may_lack = symbol.role == "fact" or (symbol.role == "parameter" and symbol.optional)
        return cls(symbol.name, symbol.kind, may_lack)


@dataclass(frozen=True)
class Inputs:
    """Inputs in the order of the slots, each one plain value or a column of shape (points,)."""

    columns: list[Any]
    #: where each is set: a truth, or a mask of shape (points,)
    given: list[Any]
    #: whether every value is there and moderate
    is_clean: bool

    def at(self, chosen: npt.NDArray[np.intp], needed: frozenset[int]) -> Inputs:
        """The needed inputs at chosen points."""
        columns = [_take(column, chosen) if at in needed else None for at, column in enumerate(self.columns)]
        given = [_take(mask, chosen) if at in needed else None for at, mask in enumerate(self.given)]
        return Inputs(columns, given, self.is_clean)


def bind(slots: Sequence[Slot], values: Mapping[str, Any], points: int) -> Inputs:
    """The inputs for the slots; each value an array of shape (points,), or a plain value for every point.

    Raises:
        PointError: a value is of the wrong kind, or a column of the wrong shape.
    """
    columns: list[Any] = []
    given: list[Any] = []
    clean = True
    for slot in slots:
        value = values.get(slot.name)
        if not isinstance(value, np.ndarray):
            column, mask, moderate = _plain(slot, value)
        elif value.shape not in ((points,), ()):
            raise PointError(f"column '{slot.name}' has shape {value.shape}, where ({points},) is needed")
        else:
            column, mask = _text_column(slot, value) if slot.kind == "text" else _number_column(slot, value)
            moderate = mask is True
        columns.append(column)
        given.append(mask)
        clean = clean and moderate
    return Inputs(columns, given, clean)


def _take(column: Any, chosen: npt.NDArray[np.intp]) -> Any:
    return column[chosen] if isinstance(column, np.ndarray) and column.ndim else column


def _plain(slot: Slot, value: Any) -> tuple[Any, bool, bool]:
    """A plain value as the program takes it, whether it is set, and whether it is there and moderate.

    Numbers and truths are floats there, as in columns.
    """
    if slot.kind == "text":
        if not isinstance(value, str | None):
            raise PointError(f"'{slot.name}' must be text, not {value!r}")
        return value, value is not None, value is not None
    if value is None:
        return math.nan, False, False
    if slot.kind == "unknown" and isinstance(value, str):
        return value, True, True
    if not isinstance(value, int | float | np.number | np.bool_) or isinstance(value, np.complexfloating):
        raise PointError(f"'{slot.name}' must be {_A_KIND[slot.kind]}, not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    return number, not (slot.nan_is_unset and math.isnan(number)), -_LARGE <= number <= _LARGE


_A_KIND = {"number": "a number", "truth": "true or false", "unknown": "a plain value"}


def _number_column(slot: Slot, value: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], Any]:
    """A column of floats (truths as 1 and 0) and the mask of what is set: True where everything is."""
    try:
        column = value.astype(float, copy=False) if value.dtype.kind not in "USc" else None
    except (TypeError, ValueError):
        column = None
    if column is None:
        raise PointError(f"column '{slot.name}' must hold numbers")
    flat = column.ravel()
    if column.size and flat @ flat <= _LARGE * _LARGE:  # one pass that NaN, infinity and large numbers all fail
        return column, True
    present = ~np.isnan(column)
    if not slot.nan_is_unset:
        present = np.not_equal(value.astype(object), _NOTHING).astype(bool)
    return column, present


def _text_column(slot: Slot, value: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Any]:
    if value.dtype.kind not in "OU" and value.size:
        raise PointError(f"column '{slot.name}' must hold text")
    if value.dtype.kind != "O":
        return value, True
    present = np.not_equal(value, _NOTHING).astype(bool)
    return value, True if present.all() else present
