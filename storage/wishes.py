"""What people ask of running work: who asked for what and when, who heard it, and what came of it.

A wish concerns a study, or one trial of it. Workers ask for theirs as often as they renew their leases; nothing is sent
to them, so a connection pool between may do as it likes. Each call is one transaction.

Who is in charge of a wish hears it, once: of a trial's the worker that holds the trial (any worker, where nobody does),
of a study's any worker. Where whoever heard it can no longer do it, the next one in charge hears it again: a trial that
was taken over has a new holder, with a lease of a higher token; where no lease says so, the hearer has left or was
silent for too long. Only the last hearer's answer counts.

A wish on a trial that ended before anybody answered it was overtaken. That follows from the trial's own row, so nobody
has to write it, and it is true from the moment in which the trial has ended.
"""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa

from storage import database, errors, tables

#: `change` gives a study other settings, which stand in the details; `requeue` asks for an ended trial once more
WishKind = Literal["pause", "resume", "finish", "change", "stop", "requeue"]
WishAnswer = Literal["done", "declined", "overtaken"]

#: the trial whose end overtakes a wish
_END = """
LEFT JOIN trials AS ended ON ended.study_id = ours.optuna_id AND ended.number = wish.trial_number
    AND wish.asks <> 'requeue' AND ended.state IN ('COMPLETE', 'PRUNED', 'FAIL')
"""

_SEEN = f"""
SELECT wish.id, wish.study_id, wish.trial_number, wish.asks, wish.details, wish.actor, wish.note, wish.asked_at,
    wish.heard_by, wish.heard_under, wish.heard_at,
    CASE WHEN wish.answer IS NULL AND ended.number IS NOT NULL THEN 'overtaken' ELSE wish.answer END AS answer,
    CASE WHEN wish.answer IS NULL AND ended.number IS NOT NULL THEN 'the trial had ended' ELSE wish.said END AS said,
    coalesce(wish.answered_at, ended.datetime_complete AT TIME ZONE 'UTC') AS answered_at
FROM {{wishes}} AS wish JOIN tuneguard_data.studies AS ours ON ours.id = wish.study_id
{_END}
"""  # noqa: S608 - nothing but constants is put in

_ASK = sa.text(f"""
WITH asked AS (
    INSERT INTO tuneguard_data.wishes (study_id, trial_number, asks, details, actor, note)
    SELECT id, CAST(:trial_number AS integer), :asks, :details, :actor, :note
    FROM tuneguard_data.studies AS ours
    WHERE id = :study_id AND (CAST(:trial_number AS integer) IS NULL OR EXISTS (
        SELECT 1 FROM trials WHERE study_id = ours.optuna_id AND number = :trial_number))
    RETURNING *
) {_SEEN.format(wishes="asked")}
""").bindparams(sa.bindparam("details", type_=tables.wishes.c.details.type))  # noqa: S608 - nothing but constants

# One worker of a study hears at a time. Without that, a wish that another one heard within this statement would be
# looked at again with its new row, but beside the hearer of the row as it was: nobody, as of one whose hearer is dead.
_ONE_HEARS = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:study_id, 2))")

# A wish that is being answered is passed over.
_HEAR = sa.text(f"""
WITH mine AS (
    SELECT wish.id, held.token
    FROM tuneguard_data.wishes AS wish JOIN tuneguard_data.studies AS ours ON ours.id = wish.study_id
    {_END}
    LEFT JOIN tuneguard_data.leases AS held ON held.study_id = wish.study_id AND held.trial_number = wish.trial_number
        AND held.worker_id IS NOT NULL AND held.expires_at > clock_timestamp()
    LEFT JOIN tuneguard_data.workers AS hearer ON hearer.id = wish.heard_by AND hearer.left_at IS NULL
        AND hearer.heartbeat_at > clock_timestamp() - make_interval(secs => :silent_seconds)
    WHERE wish.study_id = :study_id AND wish.answer IS NULL AND ended.number IS NULL
        AND coalesce(held.worker_id, :worker_id) = :worker_id
        AND (wish.heard_at IS NULL OR wish.heard_under IS DISTINCT FROM held.token
            OR held.token IS NULL AND hearer.id IS NULL)
    FOR UPDATE OF wish SKIP LOCKED
), heard AS (
    UPDATE tuneguard_data.wishes AS wish
    SET heard_by = :worker_id, heard_under = mine.token, heard_at = clock_timestamp()
    FROM mine WHERE wish.id = mine.id
    RETURNING wish.*
) {_SEEN.format(wishes="heard")} ORDER BY wish.id
""")  # noqa: S608 - nothing but constants is put in

_ANSWER = sa.text("""
UPDATE tuneguard_data.wishes SET answer = :answer, said = :said, answered_at = clock_timestamp()
WHERE id = :id AND answer IS NULL AND heard_by = :heard_by
    AND heard_under IS NOT DISTINCT FROM CAST(:heard_under AS bigint)
RETURNING id
""")

_LISTED = sa.text(f"{_SEEN.format(wishes='tuneguard_data.wishes')} WHERE wish.study_id = :study_id ORDER BY wish.id")


@dataclasses.dataclass(frozen=True)
class Wish:
    """One wish; `trial_number` is None for one that concerns the whole study.

    Attributes:
        details: what the wish needs beside its name, as JSON; empty for most.
        actor: whoever asked, a person's login name or the account of a token; `note` is what they gave as the reason.
        heard_by: the worker that sees to it; `heard_under` is the token of its lease, None where nobody held the trial.
        answer: None until there is one; `said` is what came of it in words.
    """

    id: int
    study_id: str
    trial_number: int | None
    asks: WishKind
    details: Mapping[str, Any]
    actor: str
    note: str
    asked_at: datetime.datetime
    heard_by: str | None
    heard_under: int | None
    heard_at: datetime.datetime | None
    answer: WishAnswer | None
    said: str
    answered_at: datetime.datetime | None


def ask(
    source: database.Database,
    study_id: str,
    trial_number: int | None,
    asks: WishKind,
    actor: str,
    *,
    details: Mapping[str, Any] | None = None,
    note: str = "",
) -> Wish:
    """Ask for something. One that comes too late is kept as well, and overtaken from the start.

    Raises:
        errors.NotFound: there is no such trial, or the study was deleted.
    """
    values = {
        "study_id": study_id,
        "trial_number": trial_number,
        "asks": asks,
        "details": dict(details or {}),
        "actor": database.storable(actor),
        "note": database.storable(note),
    }
    with source.transaction() as connection:
        row = connection.execute(_ASK, values).one_or_none()
    if row is None:
        what = "The study" if trial_number is None else f"Trial {trial_number}"
        raise errors.NotFound(f"{what} is not there, or was deleted; nothing can be asked of it.")
    return _wish(row)


def hear(source: database.Database, study_id: str, worker_id: str, silent_seconds: float) -> list[Wish]:
    """The wishes that this worker is to see to and has not heard yet, oldest first; nobody else hears them now.

    Args:
        silent_seconds: a worker without a heartbeat for so long is taken for dead.
    """
    values = {"study_id": study_id, "worker_id": worker_id, "silent_seconds": silent_seconds}
    with source.transaction() as connection:
        connection.execute(_ONE_HEARS, {"study_id": study_id})
        return [_wish(row) for row in connection.execute(_HEAR, values)]


def answer(connection: sa.Connection, wish: Wish, given: WishAnswer, said: str = "") -> bool:
    """Say what came of a wish; False where it is somebody else's to answer by now, or was answered.

    Args:
        connection: of the transaction that does what was asked, so that neither is there without the other.
        wish: as it was heard.
    """
    values = {"id": wish.id, "heard_by": wish.heard_by, "heard_under": wish.heard_under}
    values |= {"answer": given, "said": database.storable(said)}
    return connection.execute(_ANSWER, values).scalar() is not None


def listed(source: database.Database, study_id: str) -> list[Wish]:
    """All wishes that were ever asked of a study and of its trials, oldest first."""
    with source.transaction() as connection:
        return [_wish(row) for row in connection.execute(_LISTED, {"study_id": study_id})]


def _wish(row: sa.Row[Any]) -> Wish:
    return Wish(**{**row._mapping, "study_id": str(row.study_id)})
