"""What each trial measured and how that was judged. Parameters, values and states are Optuna's."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from storage import database, leases, tables

_T = tables.results


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """`images`: one mapping a picture (prompt, seed, scores, artifact id, ...). `failure`: kind, step, message.

    `rule_version_ids` are those of all rules in force when it was judged.
    """

    trial_number: int
    ending: str
    metrics: Mapping[str, float | None]
    images: Sequence[Mapping[str, Any]] = ()
    rule_version_ids: Sequence[int] = ()
    failure: Mapping[str, Any] | None = None
    lora_path: str | None = None
    lora_sha256: str | None = None
    recorded_at: datetime.datetime | None = None


def record(connection: sa.Connection, lease: leases.Lease, result: TrialResult) -> None:
    """Keep the result, in place of an earlier one of the same trial.

    Args:
        connection: inside of `leases.telling`, which sees to it that the lease is still its holder's.
    """
    values = {
        "token": lease.token,
        "ending": result.ending,
        "metrics": dict(result.metrics),
        "images": [dict(image) for image in result.images],
        "rule_version_ids": list(result.rule_version_ids),
        "failure": None if result.failure is None else dict(result.failure),
        "lora_path": result.lora_path,
        "lora_sha256": result.lora_sha256,
    }
    added = postgresql.insert(_T).values(study_id=lease.study_id, trial_number=lease.trial_number, **values)
    connection.execute(
        added.on_conflict_do_update(
            index_elements=[_T.c.study_id, _T.c.trial_number], set_={**values, "recorded_at": sa.func.clock_timestamp()}
        )
    )


def of_trial(connection: sa.Connection, study_id: str, trial_number: int) -> TrialResult | None:
    """The result of one trial, where it has one."""
    query = sa.select(_T).where(_T.c.study_id == study_id, _T.c.trial_number == trial_number)
    row = connection.execute(query).one_or_none()
    return None if row is None else _result(row)


def listed(source: database.Database, study_id: str) -> list[TrialResult]:
    """All results of a study, by trial."""
    query = sa.select(_T).where(_T.c.study_id == study_id).order_by(_T.c.trial_number)
    with source.transaction() as connection:
        return [_result(row) for row in connection.execute(query)]


def _result(row: sa.Row[Any]) -> TrialResult:
    names = (field.name for field in dataclasses.fields(TrialResult))
    return TrialResult(**{name: row._mapping[name] for name in names})
