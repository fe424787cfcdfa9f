"""Our row for each study, linked to the Optuna study that holds its trials.

People rename and delete studies in optuna-dashboard. A rename there makes a copy under the new name, and deletes the
one before; both carry our mark. So whoever reads a row here finds it linked to whichever Optuna study is ours by now,
under the name that this one has.
"""

import dataclasses
import datetime
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from storage import database, errors, optuna_studies, tables

_T = tables.studies

# Rows whose Optuna study has another name or is another one by now; one that has none any more is not among them.
_ASTRAY = sa.text(f"""
SELECT ours.id, coalesce(linked.study_id, heir.study_id) AS optuna_id,
    coalesce(linked.study_name, heir.study_name) AS name
FROM tuneguard_data.studies AS ours
LEFT JOIN studies AS linked ON linked.study_id = ours.optuna_id
LEFT JOIN LATERAL (
    SELECT study_id, study_name FROM studies JOIN study_user_attributes USING (study_id)
    WHERE linked.study_id IS NULL
        AND key = '{optuna_studies.MARK}' AND value_json = to_json(CAST(ours.id AS text))::text
    ORDER BY study_id DESC LIMIT 1
) AS heir ON true
WHERE linked.study_name <> ours.name OR heir.study_id IS NOT NULL
ORDER BY ours.created_at
""")  # noqa: S608 - nothing but a constant is put in

_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('tuneguard_data.studies', 0))")

# Whoever has lost its Optuna study steps aside for one that has it.
_STEP_ASIDE = sa.text("""
UPDATE tuneguard_data.studies SET name = name || '-' || left(CAST(id AS text), 8) WHERE name = :name AND id <> :id
""")

_LINK = sa.text("UPDATE tuneguard_data.studies SET name = :name, optuna_id = :optuna_id WHERE id = :id")

_LAST_BEGUN = sa.text("SELECT max(trial_number) FROM tuneguard_data.leases WHERE study_id = :id")

_STANDS = sa.text("""
SELECT 1 FROM tuneguard_data.studies AS ours JOIN studies AS linked ON linked.study_id = ours.optuna_id
WHERE ours.id = :id AND ours.optuna_id = :optuna_id AND linked.study_name = :name
""")

_FOUND = sa.select(_T, optuna_studies.TABLE.c.study_id.label("alive")).select_from(
    _T.outerjoin(optuna_studies.TABLE, optuna_studies.TABLE.c.study_id == _T.c.optuna_id)
)


@dataclasses.dataclass(frozen=True)
class StudyFacts:
    """What was found out once for all trials of a study; None where it is not known yet.

    `shown` is what an epoch shows of its images, `environment` the versions of the worker that made the study,
    `baseline` the untrained base's scores and images, `warm_start` what earlier studies taught; each as JSON.
    """

    shown: Mapping[str, Any] | None = None
    dataset_hash: str | None = None
    rule_sets: tuple[str, ...] | None = None
    environment: Mapping[str, str] | None = None
    baseline: Mapping[str, Any] | None = None
    warm_start: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class StudyRow:
    """`document` is the resolved study file.

    `folder` is where its files lie, below the data folder's runs: found by its name, and no other study's ever.
    `optuna_id` is that of its Optuna study, None where that was deleted.
    """

    id: str
    name: str
    folder: str
    optuna_id: int | None
    document: str
    facts: StudyFacts
    created_at: datetime.datetime

    def require_optuna(self) -> int:
        """Optuna's id of the study.

        Raises:
            errors.StudyGone: it was deleted there.
        """
        if self.optuna_id is None:
            raise errors.StudyGone(
                f"The study {self.name!r} was deleted in optuna-dashboard, and its trials with it. "
                f"`tuneguard study delete {self.name}` removes the rest: its runs, refusals and files."
            )
        return self.optuna_id


def create(connection: sa.Connection, name: str, document: str, objectives: Mapping[str, str]) -> StudyRow:
    """Make a study, here and in Optuna.

    Args:
        connection: in a transaction; nothing is there unless it ends well.
        objectives: name -> `minimize` or `maximize`.

    Raises:
        errors.AlreadyExists: there is a study of that name, be it one that only Optuna knows.
    """
    made = str(uuid.uuid4())
    optuna_id = optuna_studies.add(connection, name, objectives, made)
    values = {"id": made, "name": name, "folder": f"{name}-{made[:8]}", "optuna_id": optuna_id, "document": document}
    connection.execute(_STEP_ASIDE, {"name": name, "id": made})
    connection.execute(sa.insert(_T).values(values))
    return of_id(connection, made)


def get(source: database.Database, name: str) -> StudyRow:
    """The study of that name in Optuna, or one that has lost its Optuna study and had that name last.

    Raises:
        errors.NotFound: there is none; the message names the studies that there are.
    """
    with source.transaction() as connection:
        found = find(connection, name)
    if found is None:
        names = ", ".join(study.name for study in listed(source)) or "none yet"
        raise errors.NotFound(f"There is no study {name!r} at {source.place}. There are: {names}.")
    return found


def find(connection: sa.Connection, name: str) -> StudyRow | None:
    """As `get`; None where there is none."""
    _follow(connection)
    row = connection.execute(_FOUND.where(_T.c.name == name)).one_or_none()
    return None if row is None else _study(row)


def of_id(connection: sa.Connection, study_id: str) -> StudyRow:
    """A study by our own id, whatever it is called by now.

    Raises:
        errors.NotFound: it was deleted.
    """
    _follow(connection)
    row = connection.execute(_FOUND.where(_T.c.id == study_id)).one_or_none()
    if row is None:
        raise errors.NotFound("The study was deleted while it was worked on (`tuneguard study delete`).")
    return _study(row)


def stands(connection: sa.Connection, study: StudyRow) -> bool:
    """Whether this row is still linked to that Optuna study, and it is there under the same name."""
    values = {"id": study.id, "optuna_id": study.optuna_id, "name": study.name}
    return connection.execute(_STANDS, values).scalar() is not None


def listed(source: database.Database) -> list[StudyRow]:
    """All studies, oldest first."""
    with source.transaction() as connection:
        _follow(connection)
        return [_study(row) for row in connection.execute(_FOUND.order_by(_T.c.created_at))]


def learn(connection: sa.Connection, study_id: str, facts: StudyFacts) -> None:
    """Keep what was found out; what is None stays as it was known before."""
    known = {name: value for name, value in vars(facts).items() if value is not None}
    merged = _T.c.facts.op("||")(sa.bindparam("added", known, type_=_T.c.facts.type))
    connection.execute(sa.update(_T).where(_T.c.id == study_id).values(facts=merged))


def join(connection: sa.Connection, study_id: str) -> int:
    """How many workers have joined the study before this one; counted once for each call."""
    statement = sa.update(_T).where(_T.c.id == study_id).values(joined=_T.c.joined + 1).returning(_T.c.joined)
    return int(connection.execute(statement).scalar_one()) - 1


def set_document(connection: sa.Connection, study_id: str, document: str) -> None:
    """Replace the resolved study file; whether the trials stay comparable is the caller's to know."""
    connection.execute(sa.update(_T).where(_T.c.id == study_id).values(document=document))


def delete(source: database.Database, study_id: str) -> None:
    """Delete our row and all that hangs on it; Optuna's study is the caller's to delete."""
    with source.transaction() as connection:
        connection.execute(sa.delete(_T).where(_T.c.id == study_id))


def _follow(connection: sa.Connection) -> None:
    """Link rows that went astray to their Optuna studies, and call them what those are called."""
    if connection.execute(_ASTRAY).first() is None:
        return
    connection.execute(_LOCK)
    for row in connection.execute(_ASTRAY).all():
        connection.execute(_STEP_ASIDE, {"name": row.name, "id": row.id})
        connection.execute(_LINK, {"name": row.name, "optuna_id": row.optuna_id, "id": row.id})
        last = connection.execute(_LAST_BEGUN, {"id": row.id}).scalar()
        if last is not None:
            optuna_studies.fill_up(connection, row.optuna_id, last)


def _study(row: sa.Row[Any]) -> StudyRow:
    known = dict(row.facts)
    if "rule_sets" in known:
        known["rule_sets"] = tuple(known["rule_sets"])
    return StudyRow(row.id, row.name, row.folder, row.alive, row.document, StudyFacts(**known), row.created_at)
