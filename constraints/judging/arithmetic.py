"""The primitives that compiled rules are made of, for columns and for plain numbers, which numpy broadcasts.

Where a value does not exist (x / 0, log of 0, a negative root) it is NaN, and a result that is too large is infinite;
nothing raises, and nothing warns inside `numpy.errstate(all="ignore")`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

NAN = math.nan


def _divide(left: Any, right: Any) -> Any:
    return np.divide(left, np.where(np.equal(right, 0), NAN, right))


def _floor_divide(left: Any, right: Any) -> Any:
    return np.floor_divide(left, np.where(np.equal(right, 0), NAN, right))


def _remainder(left: Any, right: Any) -> Any:
    return np.remainder(left, np.where(np.equal(right, 0), NAN, right))


def _logarithm(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda number: work(np.where(np.equal(number, 0), NAN, number))


PRIMITIVES: Mapping[str, Any] = {
    "abs": abs,
    "ceil": np.ceil,
    "divide": _divide,
    "exp": np.exp,
    "floor": np.floor,
    "floor_divide": _floor_divide,
    "known_maximum": np.fmax,
    "known_minimum": np.fmin,
    "log": _logarithm(np.log),
    "log10": _logarithm(np.log10),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "nan": NAN,
    "power": np.power,
    "remainder": _remainder,
    "round": np.round,
    "sqrt": np.sqrt,
    "where": np.where,
}
