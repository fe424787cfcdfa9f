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
    outcome: str | None
    exit_code: int | None
    step: int | None
    seconds: Mapping[str, float]
    message: str


def of(run: stored_attempts.AttemptRow) -> Attempt:
    """An attempt as the database keeps it."""
    return Attempt(
        attempt=run.attempt,
        worker=run.worker_id,
        device=run.gpu,
        started_at=run.started_at,
        finished_at=run.finished_at,
        outcome=run.outcome,
        exit_code=run.exit_code,
        step=run.step,
        seconds=run.seconds,
        message=run.message,
    )
