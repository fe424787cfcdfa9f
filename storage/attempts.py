"""The attempts at training a trial: by whom, on what, for how long, and how each ended."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from storage import database, leases, tables

_T = tables.attempts


#: what is said of an attempt whose worker vanished, when the next one begins
_LOST = {
    "finished_at": sa.func.clock_timestamp(),
    "ending": "lost",
    "message": "its worker ended without a word",
}


@dataclasses.dataclass(frozen=True)
class AttemptRow:
    """One attempt, counted from 1. `seconds`: phase (launch, load, train, sample, score) -> seconds.

    All from `finished_at` on is None, empty or '' while it runs; one whose worker vanished is `lost` when the next
    attempt at its trial begins.
    """

    trial_number: int
    attempt: int
    worker_id: str
    device: str
    started_at: datetime.datetime
    finished_at: datetime.datetime | None
    exit_code: int | None
    ending: str | None
    failure_kind: str | None
    step: int | None
    seconds: Mapping[str, float]
    message: str


def start(source: database.Database, lease: leases.Lease, device: str = "cpu") -> int:
    """Begin an attempt; returns its number. Earlier ones that nobody has ended are lost with their workers.

    Raises:
        errors.LeaseLost: the trial is another worker's by now.
    """
    mine = _of(lease.study_id, lease.trial_number)
    attempt = sa.select(sa.func.coalesce(sa.func.max(_T.c.attempt), 0) + 1).where(mine).scalar_subquery()
    added = sa.insert(_T).values(
        study_id=lease.study_id,
        trial_number=lease.trial_number,
        worker_id=lease.worker_id,
        device=device,
        attempt=attempt,
    )
    with source.transaction() as connection:
        leases.require(connection, lease)
        connection.execute(sa.update(_T).where(mine & _T.c.finished_at.is_(None)).values(**_LOST))
        number: int = connection.execute(added.returning(_T.c.attempt)).scalar_one()
        return number


def of_trial(source: database.Database, study_id: str, trial_number: int) -> list[AttemptRow]:
    """The attempts at one trial, in order."""
    query = sa.select(_T).where(_of(study_id, trial_number)).order_by(_T.c.attempt)
    with source.transaction() as connection:
        return [_run(row) for row in connection.execute(query)]


def finish(
    source: database.Database,
    study_id: str,
    trial_number: int,
    attempt: int,
    *,
    ending: str,
    exit_code: int | None = None,
    failure_kind: str | None = None,
    step: int | None = None,
    seconds: Mapping[str, float] | None = None,
    message: str = "",
) -> None:
    """Say how an attempt ended. No lease is needed: it concerns this attempt alone, whoever has the trial now."""
    ended = (
        sa.update(_T)
        .where(_of(study_id, trial_number) & (_T.c.attempt == attempt))
        .values(
            finished_at=sa.func.clock_timestamp(),
            ending=ending,
            exit_code=exit_code,
            failure_kind=failure_kind,
            step=step,
            seconds=dict(seconds or {}),
            message=database.storable(message),
        )
    )
    with source.transaction() as connection:
        connection.execute(ended)


def listed(source: database.Database, study_id: str, since: int = 0) -> list[AttemptRow]:
    """The attempts of a study at trials from number `since` on, by trial and attempt."""
    wanted = (_T.c.study_id == study_id) & (_T.c.trial_number >= since)
    query = sa.select(_T).where(wanted).order_by(_T.c.trial_number, _T.c.attempt)
    with source.transaction() as connection:
        return [_run(row) for row in connection.execute(query)]


def _of(study_id: str, trial_number: int) -> sa.ColumnElement[bool]:
    return (_T.c.study_id == study_id) & (_T.c.trial_number == trial_number)


def _run(row: sa.Row[Any]) -> AttemptRow:
    values = dict(row._mapping)
    del values["study_id"]
    return AttemptRow(**values)
