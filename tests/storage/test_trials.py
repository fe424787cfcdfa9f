"""What is written in single statements is what Optuna itself would have written, and reads back as Optuna reads it."""

import concurrent.futures
import dataclasses
import datetime
import math
from collections.abc import Sequence
from typing import Any

import hypothesis
import optuna
import pytest
import sqlalchemy
from hypothesis import strategies as st

from storage import database as db
from storage import errors, optuna_store, trials

State = optuna.trial.TrialState
FORMS = {
    "learning_rate": optuna.distributions.FloatDistribution(1e-6, 1e-1, log=True),
    "network_alpha_ratio": optuna.distributions.FloatDistribution(0.25, 0.9, step=0.05),
    "max_train_epochs": optuna.distributions.IntDistribution(1, 100),
    "optimizer_type": optuna.distributions.CategoricalDistribution(["AdamW", "Prodigy", 'it\'s "odd" \N{SNOWMAN}']),
    "network_dim": optuna.distributions.CategoricalDistribution([4, 8, 16]),
    "flip": optuna.distributions.CategoricalDistribution([True, False, None]),
}
VALUES = {
    "learning_rate": st.floats(1e-6, 1e-1),
    "network_alpha_ratio": st.integers(0, 13).map(lambda at: 0.25 + at * 0.05),
    "max_train_epochs": st.integers(1, 100),
    "optimizer_type": st.sampled_from(FORMS["optimizer_type"].choices),  # type: ignore[attr-defined]
    "network_dim": st.sampled_from([4, 8, 16]),
    "flip": st.sampled_from([True, False, None]),
}
PARAMS = st.lists(st.sampled_from(sorted(FORMS)), unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
JSON = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), TEXT, st.lists(TEXT))
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), JSON, max_size=4)
NUMBERS = st.floats(allow_nan=False, width=64)


@st.composite
def written(draw: st.DrawFn, states: Sequence[State]) -> optuna.trial.FrozenTrial:
    """A trial in one of these states, saying anything that a trial can say."""
    state = draw(st.sampled_from(states))
    params = draw(PARAMS)
    return optuna.trial.create_trial(
        state=state,
        values=draw(st.lists(NUMBERS, min_size=2, max_size=2)) if state is State.COMPLETE else None,
        params=params,
        distributions={name: FORMS[name] for name in params},
        user_attrs=draw(ATTRIBUTES),
        system_attrs=draw(ATTRIBUTES),
        constraints=draw(st.dictionaries(TEXT.filter(bool), NUMBERS, max_size=3)),
    )


@dataclasses.dataclass
class Place:
    """An Optuna study of two objectives in a database, seen through Optuna and through our statements."""

    database: db.Database
    optuna_study: optuna.Study

    @property
    def id(self) -> int:
        return self.optuna_study._study_id

    def add(self, trial: optuna.trial.FrozenTrial) -> int:
        with self.database.transaction() as connection:
            return trials.add(connection, self.id, trial)

    def change(self, number: int, trial: optuna.trial.FrozenTrial) -> None:
        with self.database.transaction() as connection:
            trials.change(connection, self.id, number, trial)

    def look(self, reader: trials.Trials) -> list[optuna.trial.FrozenTrial]:
        with self.database.transaction() as connection:
            return list(reader.look(connection))


@pytest.fixture
def place(database: db.Database) -> Place:
    storage = optuna_store.open_storage(database)
    return Place(
        database, optuna.create_study(storage=storage, study_name="kitten", directions=["maximize", "minimize"])
    )


def said(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """Everything of a trial but its number, id and times."""
    return {
        "state": trial.state,
        "values": trial.values,
        "params": list(trial.params.items()),
        "distributions": trial.distributions,
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "constraints": trial.constraints,
    }


ENDED = [State.COMPLETE, State.PRUNED, State.FAIL]
CASES = hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)


@pytest.mark.slow
@CASES
@hypothesis.given(trial=written(list(State)))
def test_an_added_trial_is_the_one_that_optuna_would_have_added(place: Place, trial: optuna.trial.FrozenTrial) -> None:
    number = place.add(trial)
    place.optuna_study.add_trial(trial)
    ours, theirs = place.optuna_study.trials[number:]
    assert (ours.number, theirs.number) == (number, number + 1)
    assert said(ours) == said(theirs)
    assert (ours.datetime_start is None, ours.datetime_complete is None) == (
        theirs.state is State.WAITING,
        theirs.datetime_complete is None,
    )


@pytest.mark.slow
@CASES
@hypothesis.given(
    first=written([State.WAITING, State.RUNNING]),
    second=written([State.RUNNING, *ENDED]),
)
def test_a_changed_trial_says_what_it_said_and_what_was_added(
    place: Place, first: optuna.trial.FrozenTrial, second: optuna.trial.FrozenTrial
) -> None:
    number = place.add(first)
    place.change(number, second)
    changed = place.optuna_study.trials[number]
    assert changed.state is second.state
    assert changed.values == second.values
    assert changed.params == {**second.params, **first.params}
    assert changed.user_attrs == {**first.user_attrs, **second.user_attrs}
    assert changed.system_attrs == {**first.system_attrs, **second.system_attrs}


@pytest.mark.slow
@CASES
@hypothesis.given(given=st.lists(written(list(State)), max_size=4))
def test_trials_read_as_optuna_reads_them(place: Place, given: list[optuna.trial.FrozenTrial]) -> None:
    for trial in given:
        place.optuna_study.add_trial(trial)
    assert place.look(trials.Trials(place.id)) == place.optuna_study.trials


def test_intermediate_values_are_read_whatever_they_are(place: Place) -> None:
    values = {0: 0.1 + 0.2, 5: math.inf, 7: -math.inf, 20: 1e-300}
    place.optuna_study.add_trial(
        optuna.trial.create_trial(state=State.RUNNING, intermediate_values={**values, 30: math.nan})
    )
    (found,) = place.look(trials.Trials(place.id))
    assert math.isnan(found.intermediate_values.pop(30))
    assert found.intermediate_values == values


def test_a_reader_follows_what_others_do_and_reads_ended_trials_once(place: Place) -> None:
    reader = trials.Trials(place.id)
    assert place.look(reader) == []
    running = [place.optuna_study.ask(FORMS) for _ in range(3)]
    place.optuna_study.tell(running[1], [0.5, 0.5])
    assert place.look(reader) == place.optuna_study.trials
    once = place.look(reader)[1]
    running[0].set_user_attr("note", "new")
    place.optuna_study.enqueue_trial({"network_dim": 4})
    seen = place.look(reader)
    assert seen == place.optuna_study.trials
    assert seen[1] is once
    for trial in (running[0], running[2]):
        place.optuna_study.tell(trial, state=State.PRUNED)
    place.optuna_study.ask(FORMS)
    assert place.look(reader) == place.optuna_study.trials
    assert [each.state for each in place.look(reader)] == [State.PRUNED, State.COMPLETE, State.PRUNED, State.RUNNING]


def test_trials_of_other_studies_are_not_seen_and_do_not_count(place: Place) -> None:
    other = optuna.create_study(storage=place.optuna_study._storage, study_name="other")
    for _ in range(3):
        other.ask()
    assert place.add(optuna.trial.create_trial(state=State.RUNNING)) == 0
    other.ask()
    assert place.add(optuna.trial.create_trial(state=State.RUNNING)) == 1
    assert [trial.number for trial in place.look(trials.Trials(place.id))] == [0, 1]


def test_a_change_is_the_named_study_s_alone(place: Place) -> None:
    other = optuna.create_study(storage=place.optuna_study._storage, study_name="other")
    other.ask()
    number = place.add(optuna.trial.create_trial(state=State.RUNNING))
    place.change(number, optuna.trial.create_trial(state=State.PRUNED, user_attrs={"mine": True}))
    (theirs,) = other.trials
    assert (theirs.number, theirs.state, theirs.user_attrs) == (number, State.RUNNING, {})


def test_a_trial_that_has_ended_is_told_no_more(place: Place) -> None:
    number = place.add(optuna.trial.create_trial(state=State.RUNNING))
    place.change(number, optuna.trial.create_trial(state=State.PRUNED, constraints={"training": 1.0}))
    late = optuna.trial.create_trial(state=State.COMPLETE, values=[1.0, 2.0], user_attrs={"late": True})
    with pytest.raises(errors.TrialEnded, match="Trial 0 has been told already"):
        place.change(number, late)
    with pytest.raises(errors.TrialEnded):
        place.change(17, late)
    (kept,) = place.optuna_study.trials
    assert (kept.state, kept.values, kept.user_attrs) == (State.PRUNED, None, {})


def test_what_is_written_in_a_transaction_that_fails_was_never_there(place: Place) -> None:
    running = optuna.trial.create_trial(state=State.RUNNING, user_attrs={"a": 1})
    with pytest.raises(ZeroDivisionError), place.database.transaction() as connection:  # noqa: PT012
        trials.add(connection, place.id, running)
        raise ZeroDivisionError
    assert place.optuna_study.trials == []


def test_times_are_the_databases_clock_and_read_as_local_time(place: Place) -> None:
    number = place.add(optuna.trial.create_trial(state=State.RUNNING))
    place.change(number, optuna.trial.create_trial(state=State.FAIL))
    (trial,) = place.optuna_study.trials
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    assert trial.datetime_start <= trial.datetime_complete
    assert abs(trial.datetime_complete - datetime.datetime.now()) < datetime.timedelta(minutes=5)


@pytest.mark.slow
def test_numbers_follow_each_other_among_many_writers_of_both_kinds(place: Place) -> None:
    def ours(_: int) -> int:
        opened = db.Database(place.database.url)
        with opened.transaction() as connection:
            number = trials.add(connection, place.id, optuna.trial.create_trial(state=State.RUNNING))
        opened.close()
        return number

    def theirs(_: int) -> int:
        return optuna.load_study(study_name="kitten", storage=place.database.url).ask().number

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda at: (ours if at % 2 else theirs)(at), range(24)))
    assert sorted(numbers) == list(range(24))
    assert [trial.number for trial in place.optuna_study.trials] == list(range(24))


def test_values_that_a_running_trial_has_are_replaced_by_those_it_is_told(place: Place) -> None:
    """A copy that was made while the trial was told may have its values, but not yet its state."""
    number = place.add(optuna.trial.create_trial(state=State.RUNNING))
    with place.database.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) "
            "SELECT trial_id, 0, 7, 'FINITE' FROM trials"
        )
    place.change(number, optuna.trial.create_trial(state=State.COMPLETE, values=[1.0, 2.0]))
    (trial,) = place.optuna_study.trials
    assert trial.values == [1.0, 2.0]


def test_a_study_that_was_deleted_takes_nothing(place: Place) -> None:
    gone = place.id
    optuna.delete_study(study_name="kitten", storage=place.optuna_study._storage)
    with pytest.raises(errors.NotFound, match="was deleted"), place.database.transaction() as connection:
        trials.add(connection, gone, optuna.trial.create_trial(state=State.RUNNING))


def test_tables_of_a_version_that_is_not_known_are_refused(
    database: db.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optuna_store, "SCHEMA", "v9.9.9")
    with pytest.raises(errors.SchemaMismatch, match=r"tables of version v3\.2\.0\.a.*writes version v9\.9\.9"):
        optuna_store.open_storage(database)


def test_a_proposal_and_its_telling_are_a_statement_each(place: Place) -> None:
    statements: list[str] = []
    sqlalchemy.event.listen(
        place.database.engine, "before_cursor_execute", lambda *call: statements.append(call[2].strip())
    )
    point = {"learning_rate": 1e-3, "network_dim": 8}
    number = place.add(
        optuna.trial.create_trial(
            state=State.RUNNING, params=point, distributions={name: FORMS[name] for name in point}
        )
    )
    place.change(number, optuna.trial.create_trial(state=State.COMPLETE, values=[1.0, 2.0], constraints={"a": 0.0}))
    said = [text.split()[0] for text in statements if "FROM studies WHERE study_name" not in text]
    # the lock on the study's row, the trial; the trial again
    assert said == ["SELECT", "WITH", "WITH"]
