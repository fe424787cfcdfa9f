"""Points of a space that a trainer cannot train."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from constraints.proving import sample
from optimizer.forecast import situation as situations
from optimizer.study import resolved as studies

#: points of the space that are looked at
_POINTS = 4096


def space(study: studies.Study, situation: situations.Situation) -> tuple[list[str], list[str]]:
    """Points that the trainer cannot train: a problem where that is all of them, else a note."""
    columns, count = _looked_at(study)
    points = {**study.fixed, **columns}
    contradicted = study.declared.contradicted_points(situation.counter.beside(points), count)
    if not contradicted.any():
        return [], []
    first = {name: _plain(column[int(np.argmax(contradicted))]) for name, column in columns.items()}
    point = studies.complete(study, {name: value for name, value in first.items() if value is not None})
    said = "; ".join(study.declared.contradicted(situation.counter.beside(point)))
    if contradicted.all():
        return [f"the trainer cannot train any point of the space: {said}"], []
    share = float(contradicted[: len(contradicted) // (1 + 2 * len(study.space))].mean())
    return [], [f"the trainer cannot train {_percent(share)} of the space, which is never proposed: {said}"]


def _looked_at(study: studies.Study) -> tuple[Mapping[str, Any], int]:
    """Points spread over the space, then the same with each parameter at its low end, and at its high end."""
    drawn = sample.draw(study.space, study.fixed).fewer(_POINTS)
    inner = dict(drawn.columns)
    tables = [inner]
    for name, domain in study.space.items():
        ends = (domain.choices[0], domain.choices[-1]) if domain.choices else (domain.low, domain.high)
        for end in ends:
            column = inner[name].copy()
            is_set = np.array([value is not None and value == value for value in column])  # noqa: PLR0124 (NaN)
            column[is_set] = end
            tables.append({**inner, name: column})
    columns = {name: np.concatenate([table[name] for table in tables]) for name in study.space}
    return columns, drawn.points * len(tables)


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{share:.0%}"


def _plain(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain
