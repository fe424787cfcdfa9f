"""Optuna's own rows of a study itself, as Optuna would have written them; its trials are those of `storage.trials`."""

import json
from collections.abc import Mapping

import sqlalchemy as sa

from storage import errors

#: the attribute of an Optuna study that holds our id of it; a copy has it too, and so a renamed study is found again
MARK = "tuneguard_study"

#: as much of Optuna's table as is read here
TABLE = sa.table("studies", sa.column("study_id", sa.Integer), sa.column("study_name", sa.String))

_ADD = sa.text("INSERT INTO studies (study_name) VALUES (:name) ON CONFLICT (study_name) DO NOTHING RETURNING study_id")

_DIRECTIONS = sa.text("""
INSERT INTO study_directions (study_id, objective, direction)
SELECT :study, at - 1, CAST(upper(direction) AS studydirection)
FROM unnest(CAST(:directions AS text[])) WITH ORDINALITY AS given (direction, at)
""")

_MARK = sa.text("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (:study, :key, :value)")

_METRIC_NAMES = sa.text("""
INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (:study, 'study:metric_names', :names)
ON CONFLICT (study_id, key) DO NOTHING
""")

_FILL_UP = sa.text("""
WITH lost AS (
    INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete)
    SELECT :study, number, 'FAIL', clock_timestamp() AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC'
    FROM generate_series((SELECT coalesce(max(number) + 1, 0) FROM trials WHERE study_id = :study), :last) AS number
    ORDER BY number RETURNING trial_id
)
INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT trial_id, 'message', :message FROM lost
""")


def add(connection: sa.Connection, name: str, objectives: Mapping[str, str], mark: str) -> int:
    """Make an Optuna study; returns its id.

    Args:
        objectives: name -> `minimize` or `maximize`.
        mark: our id of the study.

    Raises:
        errors.AlreadyExists: Optuna has one of that name.
    """
    made = connection.execute(_ADD, {"name": name}).scalar()
    if made is None:
        raise errors.AlreadyExists(
            f"Optuna has a study {name!r} already. Go on with it if it is Tuneguard's, give this one another name, or "
            "delete that one in optuna-dashboard."
        )
    connection.execute(_DIRECTIONS, {"study": made, "directions": list(objectives.values())})
    connection.execute(_MARK, {"study": made, "key": MARK, "value": json.dumps(mark)})
    name_objectives(connection, made, list(objectives))
    return int(made)


def name_objectives(connection: sa.Connection, study: int, names: list[str]) -> None:
    """Let optuna-dashboard call the objectives by their names; a copy made by renaming has lost them."""
    connection.execute(_METRIC_NAMES, {"study": study, "names": json.dumps(names)})


def fill_up(connection: sa.Connection, study: int, last: int) -> None:
    """Add failed trials until there is one of the number `last`.

    A trial that began while its study was copied is not in the copy. Its number stays its own all the same: its folder
    and its lease are there.
    """
    message = json.dumps("lost: it began while the study was being renamed in optuna-dashboard")
    connection.execute(_FILL_UP, {"study": study, "last": last, "message": message})
