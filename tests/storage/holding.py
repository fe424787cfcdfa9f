"""Leases as tests need them: each call a transaction of its own, and a look at who holds what."""

import dataclasses

import sqlalchemy

from storage import database as db
from storage import leases

LONG = 3600.0

_HELD = sqlalchemy.text(
    "SELECT 1 FROM tuneguard_data.leases WHERE study_id = :study_id AND trial_number = :trial_number "
    "AND token = :token AND worker_id = :worker_id AND expires_at > clock_timestamp()"
)


def take(source: db.Database, study: str, trial: int, worker: str, seconds: float = LONG) -> leases.Lease | None:
    with source.transaction() as connection:
        return leases.acquire(connection, study, trial, worker, seconds)


def is_held(source: db.Database, lease: leases.Lease) -> bool:
    """Whether the lease is its holder's and has not run out."""
    with source.transaction() as connection:
        return connection.execute(_HELD, dataclasses.asdict(lease)).scalar() is not None
