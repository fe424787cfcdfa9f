"""The primitives that compiled rules are made of, for numpy columns and for single floats.

The compiler (`constraints.judging.compile`) writes one program; it runs on columns with COLUMNS and on one point with
NUMBERS. Both follow one convention: where a value does not exist (x / 0, log of 0, a negative root) it is NaN, and a
result that is too large is infinite; nothing raises, nothing warns.
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


COLUMNS: Mapping[str, Any] = {
    "absolute": np.abs,
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
    "negate": np.logical_not,
    "power": np.power,
    "remainder": _remainder,
    "round": np.round,
    "sqrt": np.sqrt,
    "where": np.where,
}


def _number_maximum(left: float, right: float) -> float:
    return left if left >= right or left != left else right  # noqa: PLR0124 - NaN is the number unequal to itself


def _number_minimum(left: float, right: float) -> float:
    return left if left <= right or left != left else right  # noqa: PLR0124


def _number_power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf if base > 0 or exponent % 2 == 0 else -math.inf
    except ValueError:
        return NAN


def _number_exp(number: float) -> float:
    try:
        return math.exp(number)
    except OverflowError:
        return math.inf


def _whole(work: Callable[[float], int]) -> Callable[[float], float]:
    return lambda number: float(work(number)) if math.isfinite(number) else number


NUMBERS: Mapping[str, Any] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "divide": lambda left, right: left / right if right else NAN,
    "exp": _number_exp,
    "floor": _whole(math.floor),
    "floor_divide": lambda left, right: left // right if right else NAN,
    "known_maximum": lambda left, right: right if left != left else left if right != right else max(left, right),  # noqa: PLR0124
    "known_minimum": lambda left, right: right if left != left else left if right != right else min(left, right),  # noqa: PLR0124
    "log": lambda number: math.log(number) if number > 0 else NAN,
    "log10": lambda number: math.log10(number) if number > 0 else NAN,
    "maximum": _number_maximum,
    "minimum": _number_minimum,
    "nan": NAN,
    "negate": lambda truth: not truth,
    "power": _number_power,
    "remainder": lambda left, right: left % right if right else NAN,
    "round": _whole(round),
    "sqrt": lambda number: math.sqrt(number) if number >= 0 else NAN,
    "where": lambda condition, then, otherwise: then if condition else otherwise,
}
