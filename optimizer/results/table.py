"""All trials of a study as one table, a row each, in CSV: for people, for pandas, and for other studies' `warm_start`.

Parameters, objectives and metrics stand under their own names; what is known of a trial beside them stands under names
with a dot, which no parameter has. A cell left empty is a value that is not there.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.results import records
from optimizer.study import resolved as studies

#: the column that says what became of a trial; `warm_start` reads it
STATE = "trial.state"


def to_csv(study: studies.Study, found: Sequence[records.TrialRecord]) -> str:
    """The table, with a line of column names on top."""
    rows = [_row(study, record) for record in found]
    names = list(dict.fromkeys([*_before(), *study.fixed, *study.space, *study.objectives]))
    names += [name for name in dict.fromkeys(name for row in rows for name in row) if name not in names]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _before() -> tuple[str, ...]:
    return "trial.number", STATE, "trial.reason"


def _row(study: studies.Study, record: records.TrialRecord) -> Mapping[str, Any]:
    metrics = {name: value for name, value in record.metrics.items() if isinstance(value, bool | int | float | str)}
    known = {
        "trial.number": record.number,
        STATE: record.state,
        "trial.reason": _reason(record),
        # a metric of a parameter's name would hide it
        **metrics,
        **record.values,
        **studies.complete(study, record.params),
        "trial.repeat": record.repeat,
        "trial.steps": record.steps,
        "trial.seconds": record.seconds,
        **{f"trial.seconds.{phase}": seconds for phase, seconds in record.phases.items()},
        "trial.attempts": len(record.attempts),
        "trial.started_at": min((each.started_at.isoformat() for each in record.attempts), default=None),
        "trial.finished_at": _finished(record),
        "trial.rules": record.rule_version,
        "trial.lora": record.lora,
        "trial.lora_sha256": record.lora_sha256,
    }
    return {name: value for name, value in known.items() if value is not None}


def _finished(record: records.TrialRecord) -> str | None:
    """When the last attempt ended, of a trial that has ended."""
    ends = [each.finished_at for each in record.attempts]
    return ends[-1].isoformat() if ends and ends[-1] is not None and record.state in records.TRAINED else None


def _reason(record: records.TrialRecord) -> str:
    """Why a trial is no usable one, in one line; empty where it is."""
    if record.refused_by:
        return f"refused by {', '.join(record.refused_by)}"
    if record.early_stop is not None:
        return record.early_stop.why()
    if record.failure is None:
        return ""
    return " ".join(f"{record.failure['kind']}: {record.failure['message']}".split())
