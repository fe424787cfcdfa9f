"""Every text that a rule set ever had, numbered from 1; nothing is ever changed or deleted."""

import dataclasses
import datetime
import hashlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from storage import database, errors, tables

_T = tables.rule_versions


@dataclasses.dataclass(frozen=True)
class RuleVersion:
    """`number` counts the versions of one set, `id` is unique among all sets; `sha256` is that of the UTF-8 text."""

    id: int
    set_name: str
    number: int
    text: str
    sha256: str
    author: str
    note: str
    created_at: datetime.datetime


def editing(connection: sa.Connection) -> None:
    """Until this transaction ends nobody else pushes a version, nor makes a study that follows one.

    So what is pushed fits every study that follows it, and what is made fits the versions that it follows.
    """
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('tuneguard_data.rule_versions', 0))"))


def push(connection: sa.Connection, set_name: str, text: str, author: str = "", note: str = "") -> RuleVersion:
    """Append a version; the newest one is returned as it is where its text is the same. Safe among many writers."""
    editing(connection)
    sha256 = _sha256(text)
    newest = connection.execute(_newest(set_name)).one_or_none()
    if newest is not None and newest.sha256 == sha256:
        return _version(newest)
    number = 1 if newest is None else newest.number + 1
    values = {"set_name": set_name, "number": number, "text": text, "sha256": sha256, "author": author, "note": note}
    return _version(connection.execute(sa.insert(_T).values(values).returning(_T)).one())


def is_stored(connection: sa.Connection, set_name: str, text: str) -> bool:
    """Whether a set has or had this text."""
    query = sa.select(_T.c.id).where(_T.c.set_name == set_name, _T.c.sha256 == _sha256(text)).limit(1)
    return connection.execute(query).scalar() is not None


def newest(source: database.Database, set_name: str) -> RuleVersion:
    """Raises errors.NotFound where the set has no version."""
    with source.transaction() as connection:
        return _found(connection.execute(_newest(set_name)).one_or_none(), f"no rule set {set_name!r}", source)


def latest_ids(connection: sa.Connection, set_names: Sequence[str]) -> tuple[int, ...]:
    """The ids of the newest versions of these sets, in ascending order; the least that can be read to know of news."""
    query = sa.select(sa.func.max(_T.c.id)).where(_T.c.set_name.in_(set_names)).group_by(_T.c.set_name)
    return tuple(sorted(connection.execute(query).scalars()))


def latest(connection: sa.Connection, set_names: Sequence[str]) -> list[RuleVersion]:
    """The newest version of each of these sets, in their order; sets without a version are left out."""
    query = sa.select(_T).ext(postgresql.distinct_on(_T.c.set_name)).where(_T.c.set_name.in_(set_names))
    rows = connection.execute(query.order_by(_T.c.set_name, _T.c.number.desc()))
    found = {row.set_name: _version(row) for row in rows}
    return [found[name] for name in set_names if name in found]


def get(source: database.Database, set_name: str, number: int) -> RuleVersion:
    """Raises errors.NotFound where there is no such version."""
    query = sa.select(_T).where(_T.c.set_name == set_name, _T.c.number == number)
    with source.transaction() as connection:
        row = connection.execute(query).one_or_none()
    return _found(row, f"no version {number} of the rule set {set_name!r}", source)


def of_ids(connection: sa.Connection, ids: Sequence[int]) -> dict[int, RuleVersion]:
    """Versions by their ids."""
    rows = connection.execute(sa.select(_T).where(_T.c.id.in_(ids)))
    return {row.id: _version(row) for row in rows}


def of_set(connection: sa.Connection, set_name: str) -> list[RuleVersion]:
    """All versions of a set, newest first."""
    query = sa.select(_T).where(_T.c.set_name == set_name).order_by(_T.c.number.desc())
    return [_version(row) for row in connection.execute(query)]


def listed(source: database.Database, set_name: str | None = None) -> list[RuleVersion]:
    """All versions, of one set or of all, oldest first."""
    query = sa.select(_T).order_by(_T.c.id)
    if set_name is not None:
        query = query.where(_T.c.set_name == set_name)
    with source.transaction() as connection:
        return [_version(row) for row in connection.execute(query)]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _newest(set_name: str) -> sa.Select[Any]:
    return sa.select(_T).where(_T.c.set_name == set_name).order_by(_T.c.number.desc()).limit(1)


def _found(row: sa.Row[Any] | None, what: str, source: database.Database) -> RuleVersion:
    if row is None:
        raise errors.NotFound(f"There is {what} at {source.place}. `tuneguard rules list` shows what there is.")
    return _version(row)


def _version(row: sa.Row[Any]) -> RuleVersion:
    return RuleVersion(**row._mapping)
