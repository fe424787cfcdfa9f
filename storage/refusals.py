"""What the rules kept from being trained: the points, and which rules broke on them by how much."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from storage import database, tables

_T = tables.refusals

RefusalOrigin = Literal["sampled", "enqueued"]


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A refused point. `violations`: rule id -> how far outside (above 0).

    `rule_version_ids` are those of all rules in force when it was judged.
    """

    params: Mapping[str, Any]
    refused_by: tuple[str, ...]
    violations: Mapping[str, float]
    origin: RefusalOrigin
    rule_version_ids: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class RecordedRefusal:
    """A refusal as it was kept, and when."""

    id: int
    refusal: Refusal
    refused_at: datetime.datetime


def record(connection: sa.Connection, study_id: str, refusals: Sequence[Refusal]) -> None:
    """Keep any number of refusals in one statement."""
    if refusals:
        connection.execute(sa.insert(_T), [_row(study_id, refusal) for refusal in refusals])


def count_by_rule(source: database.Database, study_id: str) -> dict[str, int]:
    """Rule id -> how many points it refused, most first; a point refused by several rules counts for each."""
    rule = sa.func.unnest(_T.c.refused_by).label("rule")
    each = sa.select(rule).where(_T.c.study_id == study_id).subquery()
    query = sa.select(each.c.rule, sa.func.count()).group_by(each.c.rule).order_by(sa.func.count().desc(), each.c.rule)
    with source.transaction() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def total(source: database.Database, study_id: str) -> int:
    """How many points were refused."""
    with source.transaction() as connection:
        return connection.execute(sa.select(sa.func.count()).where(_T.c.study_id == study_id)).scalar_one()


def recent(source: database.Database, study_id: str, limit: int = 50) -> list[RecordedRefusal]:
    """The latest refusals, newest first."""
    query = sa.select(_T).where(_T.c.study_id == study_id).order_by(_T.c.id.desc()).limit(limit)
    with source.transaction() as connection:
        return [_recorded(row) for row in connection.execute(query)]


def _row(study_id: str, refusal: Refusal) -> dict[str, Any]:
    return {
        "study_id": study_id,
        "params": dict(refusal.params),
        "refused_by": list(refusal.refused_by),
        "violations": dict(refusal.violations),
        "origin": refusal.origin,
        "rule_version_ids": list(refusal.rule_version_ids),
    }


def _recorded(row: sa.Row[Any]) -> RecordedRefusal:
    refusal = Refusal(row.params, tuple(row.refused_by), row.violations, row.origin, tuple(row.rule_version_ids))
    return RecordedRefusal(row.id, refusal, row.refused_at)
