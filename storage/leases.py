"""Who may run and tell a trial: one worker at a time, for a while that it must keep renewing.

Every new holder of a trial gets a higher token than all before it, and whatever a worker writes for a trial is only
accepted with the token that is the row's (a fencing token: Kleppmann, "How to do distributed locking", 2016). So a
worker that was away too long, asleep or cut off, cannot overwrite what its successor does. All times are the database's
clock; each call is one statement, so no two workers can be between its reading and its writing.
"""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from storage import database, errors

_SECONDS = "make_interval(secs => :seconds)"

# An insert that meets a row waits for whoever holds it, then sees that one's outcome: only one of many gets the lease.
ACQUIRE = f"""
    INSERT INTO tuneguard_data.leases AS lease (study_id, trial_number, worker_id, token, expires_at)
    VALUES (:study_id, :trial_number, :worker_id, 1, clock_timestamp() + {_SECONDS})
    ON CONFLICT (study_id, trial_number) DO UPDATE
    SET worker_id = excluded.worker_id, token = lease.token + 1, expires_at = clock_timestamp() + {_SECONDS}
    WHERE lease.worker_id IS NULL OR lease.expires_at <= clock_timestamp()
    RETURNING token
"""  # noqa: S608 - nothing but a constant is put in
_ACQUIRE = sa.text(ACQUIRE)

_MINE = "study_id = :study_id AND trial_number = :trial_number AND token = :token AND worker_id = :worker_id"

# One that has run out may be renewed as long as nobody took the trial: an hour's work is not lost to a short absence.
_RENEW = sa.text(f"""
    UPDATE tuneguard_data.leases SET expires_at = clock_timestamp() + {_SECONDS} WHERE {_MINE} RETURNING token
""")  # noqa: S608

_RELEASE = sa.text(f"UPDATE tuneguard_data.leases SET worker_id = NULL WHERE {_MINE} RETURNING token")  # noqa: S608

_LOCK = sa.text(f"SELECT 1 FROM tuneguard_data.leases WHERE {_MINE} FOR UPDATE")  # noqa: S608

_CLAIMING = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:study_id, 1))")
_FREE = sa.text("""
    SELECT number FROM unnest(CAST(:numbers AS integer[])) AS number
    WHERE NOT EXISTS (
        SELECT 1 FROM tuneguard_data.leases
        WHERE study_id = :study_id AND trial_number = number
          AND worker_id IS NOT NULL AND expires_at > clock_timestamp())
    ORDER BY number
""")


_HELD = sa.text("""
    SELECT trial_number, expires_at FROM tuneguard_data.leases
    WHERE study_id = :study_id AND trial_number = ANY(CAST(:numbers AS integer[])) AND worker_id IS NOT NULL
""")


@dataclasses.dataclass(frozen=True)
class Lease:
    """The right to run and tell one trial."""

    study_id: str
    trial_number: int
    worker_id: str
    token: int


def acquire(
    connection: sa.Connection, study_id: str, trial_number: int, worker_id: str, seconds: float
) -> Lease | None:
    """Take the trial for `seconds` when this transaction ends; None where somebody, be it this worker, holds it.

    Whoever takes a trial must look whether it still runs in Optuna: its last holder may have told it and died then.
    """
    values = {"study_id": study_id, "trial_number": trial_number, "worker_id": worker_id, "seconds": seconds}
    token = connection.execute(_ACQUIRE, values).scalar()
    return None if token is None else Lease(study_id, trial_number, worker_id, token)


def renew(source: database.Database, lease: Lease, seconds: float) -> bool:
    """Hold it for `seconds` from now; False where another worker has taken the trial, or it was released."""
    with source.transaction() as connection:
        return connection.execute(_RENEW, {**dataclasses.asdict(lease), "seconds": seconds}).scalar() is not None


def release(source: database.Database, lease: Lease) -> bool:
    """Give the trial back; False where it was no longer ours."""
    with source.transaction() as connection:
        return give_back(connection, lease)


def give_back(connection: sa.Connection, lease: Lease) -> bool:
    """As `release`, in a transaction of the caller's."""
    return connection.execute(_RELEASE, dataclasses.asdict(lease)).scalar() is not None


def free(source: database.Database, study_id: str, trial_numbers: Sequence[int]) -> list[int]:
    """Those of `trial_numbers` that nobody holds: run out, released, or never taken at all."""
    with source.transaction() as connection:
        values = {"study_id": study_id, "numbers": list(trial_numbers)}
        return list(connection.execute(_FREE, values).scalars())


def held(source: database.Database, study_id: str, trial_numbers: Sequence[int]) -> dict[int, datetime.datetime]:
    """Those of `trial_numbers` that somebody holds, and until when unless it is renewed; the past is possible."""
    with source.transaction() as connection:
        found = connection.execute(_HELD, {"study_id": study_id, "numbers": list(trial_numbers)})
        return {row.trial_number: row.expires_at for row in found}


def require(connection: sa.Connection, lease: Lease) -> None:
    """Keep everybody else from taking the trial until this transaction ends.

    Raises:
        errors.LeaseLost: somebody has taken it already, or it was released.
    """
    if connection.execute(_LOCK, dataclasses.asdict(lease)).scalar() is None:
        raise errors.LeaseLost(
            f"Trial {lease.trial_number} belongs to another worker by now; what this one found is not recorded."
        )


@contextlib.contextmanager
def claiming(source: database.Database, study_id: str) -> Iterator[sa.Connection]:
    """Only one worker of a study is inside at a time: what is looked at there stays true until it is acted on.

    The lock is the transaction's, so a worker that dies inside holds nobody up.
    """
    with source.transaction() as connection:
        connection.execute(_CLAIMING, {"study_id": study_id})
        yield connection


@contextlib.contextmanager
def telling(connection: sa.Connection, lease: Lease) -> Iterator[None]:
    """Tell a trial inside, in this transaction: until it ends nobody else can take the trial, which is let go with it.

    Our own tables are to be written through the same connection; another one would wait for this one.

    Raises:
        errors.LeaseLost: see `require`; nothing was told.
    """
    require(connection, lease)
    yield
    give_back(connection, lease)
