"""Parameters of one trial or of a table: one value each, or a column of shape (points,). Torch-free.

A column holds NaN, or None for text, where a parameter is not set.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

#: one value, or an array of shape (points,)
ArrayLike: TypeAlias = Any


def number(values: Mapping[str, ArrayLike], name: str, default: float | None) -> ArrayLike:
    """A number or truth as float, `default` where it is not set; None where it is set nowhere and has no default."""
    value = values.get(name)
    if not isinstance(value, np.ndarray):
        return default if value is None else float(value)
    column = value.astype(float)
    return column if default is None else np.where(np.isnan(column), default, column)


def text(values: Mapping[str, ArrayLike], name: str, default: str) -> Any:
    """A text as an array of shape () or (points,), `default` where it is not set."""
    texts = np.asarray(values.get(name)).astype(str)
    return np.where(texts == "None", default, texts)
