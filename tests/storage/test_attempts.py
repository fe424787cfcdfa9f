import pytest

from storage import attempts, errors, leases
from storage import database as db
from tests.storage import holding


@pytest.fixture
def study(database: db.Database) -> str:
    return holding.study(database, "kitten").id


def test_attempts_are_counted_from_one_and_keep_how_they_ended(database: db.Database, study: str) -> None:
    first = holding.take(database, study, 3, "ada")
    assert first is not None
    assert attempts.start(database, first, device="cuda:0") == 1
    attempts.finish(
        database,
        study,
        3,
        1,
        ending="crashed",
        exit_code=74,
        failure_kind="machine",
        step=12,
        seconds={"train": 2.5},
        message="lost\x00device",
    )
    leases.release(database, first)
    second = holding.take(database, study, 3, "bob")
    assert second is not None
    assert attempts.start(database, second) == 2

    crashed, running = attempts.listed(database, study)
    assert (crashed.attempt, crashed.worker_id, crashed.device, crashed.ending) == (1, "ada", "cuda:0", "crashed")
    assert (crashed.exit_code, crashed.failure_kind, crashed.step) == (74, "machine", 12)
    assert (crashed.seconds, crashed.message) == ({"train": 2.5}, "lost\ufffddevice")
    assert crashed.finished_at is not None
    assert crashed.finished_at >= crashed.started_at
    assert (running.attempt, running.worker_id, running.finished_at, running.ending) == (2, "bob", None, None)


def test_only_the_holder_of_a_trial_begins_an_attempt(database: db.Database, study: str) -> None:
    lease = holding.take(database, study, 0, "ada")
    assert lease is not None
    leases.release(database, lease)
    with pytest.raises(errors.LeaseLost):
        attempts.start(database, lease)
    assert attempts.listed(database, study) == []


def test_an_attempt_whose_worker_vanished_is_lost_when_the_next_one_begins(database: db.Database, study: str) -> None:
    lease = holding.take(database, study, 0, "ada")
    assert lease is not None
    assert [attempts.start(database, lease), attempts.start(database, lease)] == [1, 2]
    vanished, running = attempts.of_trial(database, study, 0)
    assert (vanished.ending, vanished.message) == ("lost", "its worker ended without a word")
    assert vanished.finished_at is not None
    assert running.finished_at is None
    attempts.finish(database, study, 0, 1, ending="usable")
    assert [run.ending for run in attempts.of_trial(database, study, 0)] == ["usable", None]
    assert attempts.of_trial(database, study, 1) == []
