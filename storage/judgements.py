"""Why each trial may train: what all rules in force said of it when it was begun, and when it was taken up again.

Refused points stand in `refusals`. Rows are only added, so each decision can be looked at again as it was made: under
its rule versions, with the facts of that moment.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from storage import database, leases, tables

_T = tables.judgements

#: where a trial came from: drawn by the search, enqueued by a person, a repeat of a point, or begun by another worker
TrialOrigin = Literal["sampled", "enqueued", "repeat", "taken-up"]

_LISTS = ("rule_version_ids", "refused_by", "discouraged_by")
_MAPPINGS = ("margins", "undecided", "facts")
_NAMES = ("origin", "weight", *_LISTS, *_MAPPINGS)

# The lease and the reason for it in one statement: neither is there without the other.
_TAKE = sa.text(f"""
WITH held AS ({leases.ACQUIRE}), judged AS (
    INSERT INTO tuneguard_data.judgements (study_id, trial_number, worker_id, {", ".join(_NAMES)})
    SELECT CAST(:study_id AS uuid), :trial_number, :worker_id, {", ".join(f":{name}" for name in _NAMES)}
    FROM held
)
SELECT token FROM held
""").bindparams(*(sa.bindparam(name, type_=_T.c[name].type) for name in _NAMES))  # noqa: S608 - constants


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the rules said of a trial.

    Attributes:
        rule_version_ids: of all rules in force.
        refused_by: rules that refuse it: empty but for a trial that was begun under older ones, and goes on.
        discouraged_by: soft rules that apply; `weight` is the product of theirs, 1 where none does.
        margins: rule -> how far outside (above 0) or inside (below 0) it is, for rules that know a distance.
        undecided: rule -> why it could not be decided.
        facts: what was known beside the parameters, by the names that rules give it.
    """

    origin: TrialOrigin
    rule_version_ids: Sequence[int]
    weight: float = 1.0
    refused_by: Sequence[str] = ()
    discouraged_by: Sequence[str] = ()
    margins: Mapping[str, float] = dataclasses.field(default_factory=dict)
    undecided: Mapping[str, str] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RecordedJudgement:
    """A judgement as it was kept: of which trial, for which worker, and when."""

    id: int
    trial_number: int
    worker_id: str
    judgement: Judgement
    judged_at: datetime.datetime


def take(
    connection: sa.Connection, study_id: str, trial_number: int, worker_id: str, seconds: float, judged: Judgement
) -> leases.Lease | None:
    """As `leases.acquire`, and keep why the trial may run; nothing is kept where somebody else holds it."""
    values = {"study_id": study_id, "trial_number": trial_number, "worker_id": worker_id, "seconds": seconds}
    token = connection.execute(_TAKE, {**values, **_said(judged)}).scalar()
    return None if token is None else leases.Lease(study_id, trial_number, worker_id, token)


def add(connection: sa.Connection, lease: leases.Lease, judged: Judgement) -> None:
    """Keep what the rules say of a trial that is held already."""
    held = {"study_id": lease.study_id, "trial_number": lease.trial_number, "worker_id": lease.worker_id}
    connection.execute(sa.insert(_T).values(**held, **_said(judged)))


def latest_versions(connection: sa.Connection, study_id: str, trial_number: int) -> tuple[int, ...] | None:
    """The rule versions that judged a trial last; None where none is known to have."""
    mine = (_T.c.study_id == study_id) & (_T.c.trial_number == trial_number)
    found = connection.execute(sa.select(_T.c.rule_version_ids).where(mine).order_by(_T.c.id.desc()).limit(1)).scalar()
    return None if found is None else tuple(found)


def listed(source: database.Database, study_id: str, trial_number: int | None = None) -> list[RecordedJudgement]:
    """The judgements of a study's trials, or of one of them, oldest first."""
    query = sa.select(_T).where(_T.c.study_id == study_id).order_by(_T.c.id)
    if trial_number is not None:
        query = query.where(_T.c.trial_number == trial_number)
    with source.transaction() as connection:
        return [_recorded(row) for row in connection.execute(query)]


def _said(judged: Judgement) -> dict[str, Any]:
    said = {name: getattr(judged, name) for name in _NAMES}
    return said | {name: list(said[name]) for name in _LISTS} | {name: dict(said[name]) for name in _MAPPINGS}


def _recorded(row: sa.Row[Any]) -> RecordedJudgement:
    said = {field.name: row._mapping[field.name] for field in dataclasses.fields(Judgement)}
    said |= {name: tuple(said[name]) for name in _LISTS}
    return RecordedJudgement(row.id, row.trial_number, row.worker_id, Judgement(**said), row.judged_at)
