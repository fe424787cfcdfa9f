"""The studies of a database, one a line."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from optimizer import jsonable, wording
from optimizer.results import records
from storage import studies as stored_studies


@dataclasses.dataclass(frozen=True)
class Line:
    """A study. `trials`: state -> how many are in it."""

    name: str
    created_at: jsonable.Timestamp
    trials: Mapping[str, int]
    deleted_in_dashboard: bool


def of(stored: stored_studies.StudyRow, trials: Sequence[records.TrialRecord]) -> Line:
    """A study by its row and its trials."""
    counted = Counter(record.state for record in trials)
    return Line(stored.name, stored.created_at, dict(counted), stored.optuna_id is None)


def render(line: Line) -> str:
    """A study and how many trials it has in which state; how to be rid of it, where optuna-dashboard deleted it."""
    if line.deleted_in_dashboard:
        return f"{line.name}: deleted in optuna-dashboard; `tuneguard study delete {line.name}` removes the rest"
    return f"{line.name}: {wording.listed(dict(sorted(line.trials.items()))) or 'no trials yet'}"
