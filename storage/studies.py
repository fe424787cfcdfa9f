"""Our row for each study. Optuna's study of the same name holds its trials."""

import dataclasses
import datetime
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from storage import database, errors, tables

_T = tables.studies


@dataclasses.dataclass(frozen=True)
class Study:
    """`document` is the resolved study file; `facts` were measured once for all trials (data set, base, versions).

    `folder` is where its files lie, below the data folder's runs: found by its name, and no other study's ever.
    """

    id: str
    name: str
    folder: str
    document: str
    facts: Mapping[str, Any]
    created_at: datetime.datetime


def create(source: database.Database, name: str, document: str, facts: Mapping[str, Any]) -> Study:
    """Raises errors.AlreadyExists where there is a study of that name."""
    made = str(uuid.uuid4())
    values = {"id": made, "name": name, "folder": f"{name}-{made[:8]}", "document": document, "facts": dict(facts)}
    statement = sa.insert(_T).values(values).returning(_T)
    try:
        with source.transaction() as connection:
            return _study(connection.execute(statement).one())
    except sa.exc.IntegrityError as error:
        raise errors.AlreadyExists(
            f"A study {name!r} is there already. Go on with it, give this one another name, or delete that one."
        ) from error


def get(source: database.Database, name: str) -> Study:
    """Raises errors.NotFound, naming the studies that there are."""
    with source.transaction() as connection:
        row = connection.execute(sa.select(_T).where(_T.c.name == name)).one_or_none()
    if row is None:
        names = ", ".join(study.name for study in listed(source)) or "none yet"
        raise errors.NotFound(f"There is no study {name!r} at {source.place}. There are: {names}.")
    return _study(row)


def listed(source: database.Database) -> list[Study]:
    """All studies, oldest first."""
    with source.transaction() as connection:
        return [_study(row) for row in connection.execute(sa.select(_T).order_by(_T.c.created_at))]


def add_facts(source: database.Database, study_id: str, facts: Mapping[str, Any]) -> None:
    """Add facts that were measured later, such as the untrained base's scores; a fact of the same name is replaced."""
    merged = _T.c.facts.op("||")(sa.bindparam("added", dict(facts), type_=_T.c.facts.type))
    with source.transaction() as connection:
        connection.execute(sa.update(_T).where(_T.c.id == study_id).values(facts=merged))


def join(source: database.Database, study_id: str) -> int:
    """How many workers have joined the study before this one; counted once for each call."""
    joined = sa.func.coalesce(_T.c.facts["joined"].as_integer(), 0)
    count = sa.func.jsonb_build_object("joined", joined + 1)
    statement = sa.update(_T).where(_T.c.id == study_id).values(facts=_T.c.facts.op("||")(count)).returning(joined)
    with source.transaction() as connection:
        return int(connection.execute(statement).scalar_one()) - 1


def set_document(source: database.Database, study_id: str, document: str) -> None:
    """Replace the resolved study file; whether the trials stay comparable is the caller's to know."""
    with source.transaction() as connection:
        connection.execute(sa.update(_T).where(_T.c.id == study_id).values(document=document))


def delete(source: database.Database, study_id: str) -> None:
    """Delete our row and all that hangs on it; Optuna's study is the caller's to delete."""
    with source.transaction() as connection:
        connection.execute(sa.delete(_T).where(_T.c.id == study_id))


def _study(row: sa.Row[Any]) -> Study:
    return Study(row.id, row.name, row.folder, row.document, row.facts, row.created_at)
