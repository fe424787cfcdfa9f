"""Studies, rule versions and leases as tests need them: each call a transaction of its own."""

import contextlib
import dataclasses
from collections.abc import Iterator

import sqlalchemy

from storage import database as db
from storage import leases, rule_versions, studies

LONG = 3600.0

_HELD = sqlalchemy.text(
    "SELECT 1 FROM tuneguard_data.leases WHERE study_id = :study_id AND trial_number = :trial_number "
    "AND token = :token AND worker_id = :worker_id AND expires_at > clock_timestamp()"
)


def study(source: db.Database, name: str, document: str = "") -> studies.StudyRow:
    """A study of one objective."""
    with source.transaction() as connection:
        return studies.create(connection, name, document, {"loss": "minimize"})


def push(source: db.Database, name: str, text: str, author: str = "", note: str = "") -> rule_versions.RuleVersion:
    with source.transaction() as connection:
        return rule_versions.push(connection, name, text, author=author, note=note)


def take(source: db.Database, study: str, trial: int, worker: str, seconds: float = LONG) -> leases.Lease | None:
    with source.transaction() as connection:
        return leases.acquire(connection, study, trial, worker, seconds)


@contextlib.contextmanager
def telling(source: db.Database, lease: leases.Lease) -> Iterator[sqlalchemy.Connection]:
    with source.transaction() as connection, leases.telling(connection, lease):
        yield connection


def is_held(source: db.Database, lease: leases.Lease) -> bool:
    """Whether the lease is its holder's and has not run out."""
    with source.transaction() as connection:
        return connection.execute(_HELD, dataclasses.asdict(lease)).scalar() is not None


@contextlib.contextmanager
def cut_off(source: db.Database, when: str) -> Iterator[None]:
    """Inside, the server ends the connection on which a statement with these words is about to be run."""

    def end(connection: sqlalchemy.Connection, _cursor: object, statement: str, *_more: object) -> None:
        if when in statement:
            pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            other = db.Database(source.url)
            with other.transaction() as administrator:
                administrator.exec_driver_sql("SELECT pg_terminate_backend(%s, 10000)", (pid,))
            other.close()

    sqlalchemy.event.listen(source.engine, "before_cursor_execute", end)
    try:
        yield
    finally:
        sqlalchemy.event.remove(source.engine, "before_cursor_execute", end)
