"""Studies, rule versions and leases as tests need them: each call a transaction of its own."""

import dataclasses

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


def is_held(source: db.Database, lease: leases.Lease) -> bool:
    """Whether the lease is its holder's and has not run out."""
    with source.transaction() as connection:
        return connection.execute(_HELD, dataclasses.asdict(lease)).scalar() is not None
