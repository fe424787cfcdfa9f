"""The processes that train, and which of them are alive."""

import dataclasses
import datetime
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from storage import database, tables

_T = tables.workers


@dataclasses.dataclass(frozen=True)
class WorkerRow:
    """A process that trains; `left_at` is set by itself when it ends in order."""

    id: str
    host: str
    pid: int
    device: str
    environment: Mapping[str, str]
    started_at: datetime.datetime
    heartbeat_at: datetime.datetime
    left_at: datetime.datetime | None


def register(
    source: database.Database, host: str, pid: int, device: str = "cpu", environment: Mapping[str, str] | None = None
) -> str:
    """A new worker's id, never used before.

    Args:
        environment: versions by name of what it trains with.
    """
    worker_id = f"{host}-{pid}-{uuid.uuid4().hex[:8]}"
    with source.transaction() as connection:
        connection.execute(
            sa.insert(_T).values(id=worker_id, host=host, pid=pid, device=device, environment=dict(environment or {}))
        )
    return worker_id


def heartbeat(source: database.Database, worker_id: str) -> None:
    """Say that the worker lives."""
    _touch(source, worker_id, heartbeat_at=sa.func.clock_timestamp())


def leave(source: database.Database, worker_id: str) -> None:
    """Say that the worker ends in order."""
    _touch(source, worker_id, left_at=sa.func.clock_timestamp())


def alive(source: database.Database, within_seconds: float) -> list[WorkerRow]:
    """Those that have not left and whose last heartbeat is at most `within_seconds` old, oldest first."""
    since = sa.func.clock_timestamp() - sa.func.make_interval(0, 0, 0, 0, 0, 0, within_seconds)
    query = sa.select(_T).where(_T.c.left_at.is_(None), _T.c.heartbeat_at > since).order_by(_T.c.started_at)
    with source.transaction() as connection:
        return [WorkerRow(**row._mapping) for row in connection.execute(query)]


def _touch(source: database.Database, worker_id: str, **values: Any) -> None:
    with source.transaction() as connection:
        connection.execute(sa.update(_T).where(_T.c.id == worker_id).values(**values))
