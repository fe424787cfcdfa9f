"""What running trials do now, so that other processes can show it: the latest of each signal, an attempt a row.

A row is written whole every few seconds and depends on none before it, so one that could not be written is made good by
the next. Nothing is decided by it, and no lease is needed: an attempt is one worker's.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql

from storage import database, tables

_T = tables.signals


@dataclasses.dataclass(frozen=True)
class AttemptSignals:
    """What an attempt does.

    Attributes:
        phase: launch, load, train, sample or score.
        step: optimizer steps that were done, None before the first; `total_steps` are all that are planned.
        seconds_left: of its training; None where nobody can know.
        latest: signal (loss, grad_norm, learning_rate_now, ...) -> its latest value.
        curve: `step` and some of the signals -> their values at these steps, few enough to be written whole each time.
    """

    phase: str
    step: int | None = None
    total_steps: int | None = None
    seconds_left: float | None = None
    latest: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    curve: Mapping[str, Sequence[int | float | None]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ToldSignals:
    """An attempt and what was heard of it last; None where nothing was.

    Attributes:
        finished_at: None while it runs.
        seconds_ago: how long ago `told_at` was when this was read, by the database's clock.
    """

    trial_number: int
    attempt: int
    worker_id: str
    device: str
    finished_at: datetime.datetime | None
    signals: AttemptSignals | None
    told_at: datetime.datetime | None
    seconds_ago: float | None


def tell(source: database.Database, study_id: str, trial_number: int, attempt: int, signals: AttemptSignals) -> bool:
    """Write what an attempt does now, in place of what it did before; False where that was not written.

    The study may be gone, or the server have ended the statement: signals are looked at, and nothing depends on them.

    Raises:
        errors.DatabaseUnreachable: the database is away; what was to be told may as well be dropped.
    """
    values = {field.name: getattr(signals, field.name) for field in dataclasses.fields(signals)}
    told = {**values, "latest": dict(signals.latest), "curve": dict(signals.curve)}
    told["told_at"] = sa.func.clock_timestamp()
    added = postgresql.insert(_T).values(study_id=study_id, trial_number=trial_number, attempt=attempt, **told)
    keys = [_T.c.study_id, _T.c.trial_number, _T.c.attempt]
    try:
        with source.transaction() as connection:
            connection.execute(added.on_conflict_do_update(index_elements=keys, set_=told))
    except exc.DBAPIError:  # of the study's row, which it hangs on, or a time limit of the server's
        return False
    return True


def of_trials(source: database.Database, study_id: str, trial_numbers: Sequence[int]) -> list[ToldSignals]:
    """All attempts at these trials, by trial and attempt."""
    attempt = tables.attempts
    ago = sa.func.extract("epoch", sa.func.clock_timestamp() - _T.c.told_at).label("seconds_ago")
    told = [_T.c[field.name] for field in dataclasses.fields(AttemptSignals)]
    same = (_T.c.study_id == attempt.c.study_id) & (_T.c.trial_number == attempt.c.trial_number)
    query = (
        sa.select(attempt, *(column.label(f"told_{column.name}") for column in told), _T.c.told_at, ago)
        .select_from(attempt.outerjoin(_T, same & (_T.c.attempt == attempt.c.attempt)))
        .where(attempt.c.study_id == study_id, attempt.c.trial_number.in_(trial_numbers))
        .order_by(attempt.c.trial_number, attempt.c.attempt)
    )
    with source.transaction() as connection:
        return [_heard(row) for row in connection.execute(query)]


def _heard(row: sa.Row[Any]) -> ToldSignals:
    told = {field.name: row._mapping[f"told_{field.name}"] for field in dataclasses.fields(AttemptSignals)}
    return ToldSignals(
        trial_number=row.trial_number,
        attempt=row.attempt,
        worker_id=row.worker_id,
        device=row.device,
        finished_at=row.finished_at,
        signals=None if row.told_at is None else AttemptSignals(**told),
        told_at=row.told_at,
        seconds_ago=None if row.told_at is None else float(row.seconds_ago),
    )
