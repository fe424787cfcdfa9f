"""An attempt at training a trial, as people and scripts read it."""

import dataclasses
from collections.abc import Mapping

from optimizer import jsonable
from storage import attempts as stored_attempts


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt, counted from 1; what is not known before its end is None. `seconds` are by phase."""

    attempt: int
    worker: str
    device: str
    started_at: jsonable.Timestamp
    finished_at: jsonable.Timestamp | None
    ending: str | None
    exit_code: int | None
    step: int | None
    seconds: Mapping[str, float]
    message: str


def of(row: stored_attempts.AttemptRow) -> Attempt:
    """An attempt as the database keeps it."""
    return Attempt(
        attempt=row.attempt,
        worker=row.worker_id,
        device=row.device,
        started_at=row.started_at,
        finished_at=row.finished_at,
        ending=row.ending,
        exit_code=row.exit_code,
        step=row.step,
        seconds=row.seconds,
        message=row.message,
    )
