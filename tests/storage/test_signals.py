import math

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import strategies as st

from storage import attempts, leases, signals, studies
from storage import database as db
from tests.storage import holding

#: jsonb gives larger floats back as whole numbers
NUMBERS = st.none() | st.floats(-1e15, 1e15)
TOLD = st.builds(
    signals.AttemptSignals,
    phase=st.sampled_from(["launch", "load", "train", "sample", "score"]),
    step=st.none() | st.integers(0, 10**6),
    total_steps=st.none() | st.integers(0, 10**6),
    seconds_left=NUMBERS,
    latest=st.dictionaries(st.sampled_from(["loss", "grad_norm", "vram_gb"]), NUMBERS),
    curve=st.dictionaries(st.sampled_from(["step", "loss"]), st.lists(NUMBERS, max_size=5)),
)


@pytest.fixture
def study(database: db.Database) -> str:
    return holding.study(database, "kitten").id


def begin(database: db.Database, study: str, trial: int, worker: str = "ada") -> int:
    """Begin an attempt; its number."""
    lease = holding.take(database, study, trial, worker)
    assert lease is not None
    number = attempts.start(database, lease, device="cuda:0")
    leases.release(database, lease)
    return number


@hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(told=st.lists(TOLD, min_size=1, max_size=3))
def test_the_last_word_of_an_attempt_is_what_is_read(
    database: db.Database, study: str, told: list[signals.AttemptSignals]
) -> None:
    number = begin(database, study, 0)
    for each in told:
        assert signals.tell(database, study, 0, number, each)
    heard = signals.of_trials(database, study, [0])[-1]
    assert (heard.trial_number, heard.attempt, heard.signals) == (0, number, told[-1])
    assert (heard.worker_id, heard.device, heard.finished_at) == ("ada", "cuda:0", None)
    assert heard.seconds_ago is not None
    assert heard.seconds_ago >= 0


def test_attempts_are_kept_apart_and_only_the_trials_that_are_asked_for_are_read(
    database: db.Database, study: str
) -> None:
    for trial in (2, 0, 0):
        attempt = begin(database, study, trial, f"worker {trial}")
        signals.tell(database, study, trial, attempt, signals.AttemptSignals("train", step=10 * trial + attempt))
    assert begin(database, study, 0) == 3
    found = signals.of_trials(database, study, [0])
    steps = [None if each.signals is None else each.signals.step for each in found]
    assert [each.attempt for each in found] == [1, 2, 3]
    assert steps == [1, 2, None]
    assert (found[2].told_at, found[2].seconds_ago) == (None, None)
    assert [each.finished_at is None for each in found] == [False, False, True]
    assert signals.of_trials(database, study, []) == []


def test_numbers_that_json_lacks_are_null(database: db.Database, study: str) -> None:
    told = signals.AttemptSignals("train", latest={"loss": math.nan}, curve={"loss": [math.inf]})
    signals.tell(database, study, 0, begin(database, study, 0), told)
    (heard,) = signals.of_trials(database, study, [0])
    assert heard.signals == signals.AttemptSignals("train", latest={"loss": None}, curve={"loss": [None]})


def test_signals_go_with_their_study_and_none_come_after_it(database: db.Database, study: str) -> None:
    signals.tell(database, study, 0, begin(database, study, 0), signals.AttemptSignals("load"))
    studies.delete(database, study)
    assert signals.of_trials(database, study, [0]) == []
    assert not signals.tell(database, study, 0, 1, signals.AttemptSignals("train"))


def test_a_time_limit_of_the_server_s_drops_what_was_to_be_told(database: db.Database, study: str) -> None:
    number = begin(database, study, 0)
    hasty = db.Database(f"{database.url}?options=-c%20statement_timeout%3D200")
    with database.transaction() as connection:
        connection.execute(sa.text("LOCK TABLE tuneguard_data.signals IN EXCLUSIVE MODE"))
        assert not signals.tell(hasty, study, 0, number, signals.AttemptSignals("train", step=1))
    assert signals.tell(hasty, study, 0, number, signals.AttemptSignals("train", step=2))
    hasty.close()
