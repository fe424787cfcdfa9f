"""Optuna's own rows of a study's trials, each read or written in one statement.

Optuna stays the truth, and everything here is what Optuna reads and would have written itself. Its Python interface
takes 34 statements for a proposal of nine parameters and 20 for telling it, on connections of its own; here a trial
begins and ends in a transaction of the caller's, together with its lease, so that neither is ever there without the
other (docs/decisions/0004-trials-in-single-statements.md).

The tables are those of `optuna_store.SCHEMA`; `optuna_store` refuses others.
"""

import datetime
import functools
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import optuna
import sqlalchemy as sa

from storage import errors

_LOCK_STUDY = sa.text("SELECT 1 FROM studies WHERE study_id = :study FOR UPDATE")

_NOW = "clock_timestamp() AT TIME ZONE 'UTC'"

#: what one trial says, into all the tables that it lies in; `target` is its row
_CONTENT = """
, parameters AS (
    INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, name, value, form FROM target, unnest(
        CAST(:names AS text[]), CAST(:internals AS double precision[]), CAST(:forms AS text[])
    ) WITH ORDINALITY AS given (name, value, form, at) ORDER BY at
    ON CONFLICT (trial_id, param_name) DO NOTHING
), results AS (
    INSERT INTO trial_values (trial_id, objective, value, value_type)
    SELECT trial_id, at - 1, value, CAST(kind AS trialvaluetype) FROM target, unnest(
        CAST(:finite AS double precision[]), CAST(:kinds AS text[])
    ) WITH ORDINALITY AS given (value, kind, at)
    ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value, value_type = excluded.value_type
), user_attributes AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, key, value FROM target, unnest(
        CAST(:user_keys AS text[]), CAST(:user_values AS text[])
    ) AS given (key, value)
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
), system_attributes AS (
    INSERT INTO trial_system_attributes (trial_id, key, value_json)
    SELECT trial_id, key, value FROM target, unnest(
        CAST(:system_keys AS text[]), CAST(:system_values AS text[])
    ) AS given (key, value)
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
)
SELECT number FROM target
"""

# Optuna numbers trials by how many rows of the study have a smaller id; rows are never taken out singly.
_ADD = sa.text(f"""
WITH target AS (
    INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete)
    SELECT :study,
        coalesce((SELECT number + 1 FROM trials WHERE study_id = :study ORDER BY trial_id DESC LIMIT 1), 0),
        CAST(:state AS trialstate), CASE WHEN :begun THEN {_NOW} END, CASE WHEN :finished THEN {_NOW} END
    RETURNING trial_id, number
) {_CONTENT}""")  # noqa: S608 - nothing but constants are put in

_CHANGE = sa.text(f"""
WITH target AS (
    UPDATE trials SET state = CAST(:state AS trialstate), datetime_start = coalesce(datetime_start, {_NOW}),
        datetime_complete = CASE WHEN :finished THEN {_NOW} END
    WHERE study_id = :study AND number = :number AND state IN ('WAITING', 'RUNNING')
    RETURNING trial_id, number
) {_CONTENT}""")  # noqa: S608 - nothing but constants are put in

_READ = sa.text("""
SELECT trial_id, number, CAST(state AS text) AS state, datetime_start, datetime_complete,
    (SELECT json_agg(json_build_array(param_name, param_value, distribution_json) ORDER BY param_id)
        FROM trial_params WHERE trial_id = trial.trial_id) AS params,
    (SELECT json_agg(json_build_array(value, CAST(value_type AS text)) ORDER BY objective)
        FROM trial_values WHERE trial_id = trial.trial_id) AS values,
    (SELECT json_agg(json_build_array(key, value_json) ORDER BY trial_user_attribute_id)
        FROM trial_user_attributes WHERE trial_id = trial.trial_id) AS user_attrs,
    (SELECT json_agg(json_build_array(key, value_json) ORDER BY trial_system_attribute_id)
        FROM trial_system_attributes WHERE trial_id = trial.trial_id) AS system_attrs,
    (SELECT json_agg(json_build_array(step, intermediate_value, CAST(intermediate_value_type AS text)) ORDER BY step)
        FROM trial_intermediate_values WHERE trial_id = trial.trial_id) AS intermediate_values
FROM trials AS trial
WHERE study_id = :study AND trial_id >= :first AND NOT trial_id = ANY(CAST(:ended AS integer[]))
ORDER BY trial_id
""")

_RUNS = sa.text("SELECT 1 FROM trials WHERE study_id = :study AND number = :number AND state = 'RUNNING'")

_KINDS = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def add(connection: sa.Connection, study: int, trial: optuna.trial.FrozenTrial) -> int:
    """Write a new trial with everything it says (intermediate values excepted); returns its number.

    Others that add trials to the study, Optuna's own way too, wait until the transaction ends.

    Args:
        study: Optuna's id of the study.
        trial: as `optuna.trial.create_trial` makes it; its number and times are those of the database.

    Raises:
        errors.NotFound: the study is not there any more.
    """
    if connection.execute(_LOCK_STUDY, {"study": study}).scalar() is None:
        raise errors.NotFound("The study was deleted while it was worked on; nothing can be added to it.")
    return int(connection.execute(_ADD, {"study": study, **_content(trial)}).scalar_one())


def change(connection: sa.Connection, study: int, number: int, trial: optuna.trial.FrozenTrial) -> None:
    """Give a trial that has not ended another state, and add what `trial` says to what it says already.

    Parameters that it has stay as they are.

    Raises:
        errors.TrialEnded: it has ended, or there is no such trial; nothing is changed.
    """
    changed = connection.execute(_CHANGE, {"study": study, "number": number, **_content(trial)}).scalar()
    if changed is None:
        raise errors.TrialEnded(f"Trial {number} has been told already, or was deleted; nothing is told of it twice.")


def is_running(connection: sa.Connection, study: int, number: int) -> bool:
    """Whether a trial is there and has been told nothing."""
    return connection.execute(_RUNS, {"study": study, "number": number}).scalar() is not None


class Trials:
    """A study's trials as far as they have been read; those that have ended are read once. Not thread-safe."""

    def __init__(self, study: int) -> None:
        self._study = study
        self._trials: list[optuna.trial.FrozenTrial] = []
        self._rows: list[int] = []
        #: trials before this position have all ended
        self._settled = 0

    def look(self, connection: sa.Connection) -> Sequence[optuna.trial.FrozenTrial]:
        """All trials in the order of their numbers, as they stand now; not to be changed."""
        unsettled = range(self._settled, len(self._trials))
        ended = [self._rows[at] for at in unsettled if self._trials[at].state.is_finished()]
        place = {self._rows[at]: at for at in unsettled}
        first = min(place, default=self._rows[-1] + 1 if self._rows else 0)
        for row in connection.execute(_READ, {"study": self._study, "first": first, "ended": ended}):
            if row.trial_id in place:
                self._trials[place[row.trial_id]] = _trial(row)
            else:
                self._trials.append(_trial(row))
                self._rows.append(row.trial_id)
        while self._settled < len(self._trials) and self._trials[self._settled].state.is_finished():
            self._settled += 1
        return self._trials


def _content(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """What a trial says, as the statements take it."""
    forms = [trial.distributions[name] for name in trial.params]
    values = [float(value) for value in trial.values or ()]
    return {
        "state": trial.state.name,
        "begun": trial.state is not optuna.trial.TrialState.WAITING,
        "finished": trial.state.is_finished(),
        "names": list(trial.params),
        "internals": [form.to_internal_repr(value) for form, value in zip(forms, trial.params.values(), strict=True)],
        "forms": [_written(form) for form in forms],
        "finite": [value if math.isfinite(value) else None for value in values],
        "kinds": ["FINITE" if math.isfinite(value) else "INF_POS" if value > 0 else "INF_NEG" for value in values],
        "user_keys": list(trial.user_attrs),
        "user_values": [json.dumps(value) for value in trial.user_attrs.values()],
        "system_keys": list(trial.system_attrs),
        "system_values": [json.dumps(value) for value in trial.system_attrs.values()],
    }


def _trial(row: sa.Row[Any]) -> optuna.trial.FrozenTrial:
    params, distributions = {}, {}
    for name, internal, form in row.params or ():
        distributions[name] = _form(form)
        params[name] = distributions[name].to_external_repr(float(internal))
    return optuna.trial.FrozenTrial(
        number=row.number,
        trial_id=row.trial_id,
        state=optuna.trial.TrialState[row.state],
        value=None,
        values=[_number(value, kind) for value, kind in row.values] if row.values else None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params=params,
        distributions=distributions,
        user_attrs=_attributes(row.user_attrs or ()),
        system_attrs=_attributes(row.system_attrs or ()),
        intermediate_values={step: _number(value, kind) for step, value, kind in row.intermediate_values or ()},
    )


def _attributes(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in pairs}


def _number(value: float | None, kind: str) -> float:
    return _KINDS[kind] if value is None else float(value)


def _local(stored: datetime.datetime | None) -> datetime.datetime | None:
    """Optuna keeps naive UTC and hands out naive local time."""
    return None if stored is None else stored.replace(tzinfo=datetime.UTC).astimezone().replace(tzinfo=None)


@functools.lru_cache(maxsize=1024)
def _form(text: str) -> optuna.distributions.BaseDistribution:
    """A study has few distributions and many trials; they are read-only."""
    return optuna.distributions.json_to_distribution(text)


def _written(form: optuna.distributions.BaseDistribution) -> str:
    return str(optuna.distributions.distribution_to_json(form))
