import concurrent.futures
import multiprocessing
import threading
import time

import hypothesis
import pytest
import sqlalchemy
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from storage import database as db
from storage import errors, leases
from tests.storage import holding


@pytest.fixture
def study(database: db.Database) -> str:
    return holding.study(database, "kitten").id


def run_out(database: db.Database, study: str, trial: int) -> None:
    """Let the lease run out without waiting for it."""
    with database.transaction() as connection:
        connection.execute(
            sqlalchemy.text(
                "UPDATE tuneguard_data.leases SET expires_at = clock_timestamp() - interval '1 second' "
                "WHERE study_id = :study AND trial_number = :trial"
            ),
            {"study": study, "trial": trial},
        )


def test_a_trial_is_one_workers_until_it_is_released(database: db.Database, study: str) -> None:
    mine = holding.take(database, study, 0, "ada")
    assert mine == leases.Lease(study, 0, "ada", 1)
    assert holding.take(database, study, 0, "bob") is None
    assert holding.take(database, study, 0, "ada") is None
    assert holding.take(database, study, 1, "bob") is not None
    assert holding.is_held(database, mine)
    assert leases.release(database, mine)
    assert not holding.is_held(database, mine)
    assert not leases.release(database, mine)
    assert holding.take(database, study, 0, "bob") == leases.Lease(study, 0, "bob", 2)


def test_a_lease_that_ran_out_is_the_next_workers_and_the_late_one_can_do_nothing(
    database: db.Database, study: str
) -> None:
    late = holding.take(database, study, 0, "ada")
    assert late is not None
    run_out(database, study, 0)
    assert not holding.is_held(database, late)
    heir = holding.take(database, study, 0, "bob")
    assert heir is not None
    assert heir.token > late.token
    assert not leases.renew(database, late, holding.LONG)
    assert not leases.release(database, late)
    with pytest.raises(errors.LeaseLost, match="Trial 0 belongs to another worker"), holding.telling(database, late):
        pass
    assert holding.is_held(database, heir)


def test_a_lease_that_ran_out_but_was_not_taken_can_be_renewed(database: db.Database, study: str) -> None:
    mine = holding.take(database, study, 0, "ada")
    assert mine is not None
    run_out(database, study, 0)
    assert leases.renew(database, mine, holding.LONG)
    assert holding.is_held(database, mine)


def test_time_alone_ends_a_lease(database: db.Database, study: str) -> None:
    mine = holding.take(database, study, 0, "ada", 0.05)
    assert mine is not None
    time.sleep(0.1)
    assert not holding.is_held(database, mine)
    assert leases.free(database, study, [0]) == [0]


def test_free_names_all_that_may_be_taken(database: db.Database, study: str) -> None:
    for trial in (0, 1, 2):
        assert holding.take(database, study, trial, "ada") is not None
    run_out(database, study, 1)
    leases.release(database, leases.Lease(study, 2, "ada", 1))
    assert leases.free(database, study, [3, 2, 1, 0]) == [1, 2, 3]
    assert leases.free(database, study, []) == []


def test_whoever_tells_keeps_others_out_until_it_is_done(database: db.Database, study: str) -> None:
    teller = holding.take(database, study, 0, "ada")
    assert teller is not None
    other = db.Database(database.url)
    taken: list[leases.Lease | None] = []
    begun = threading.Event()

    def take() -> None:
        begun.set()
        taken.append(holding.take(other, study, 0, "bob"))

    thread = threading.Thread(target=take)
    run_out(database, study, 0)  # a lease may run out while its trial is told; still nobody may come between
    with holding.telling(database, teller):
        thread.start()
        begun.wait()
        thread.join(0.3)
        assert thread.is_alive()
        assert taken == []
    thread.join()
    other.close()
    assert taken == [leases.Lease(study, 0, "bob", 2)]


def test_telling_that_fails_leaves_the_lease_held(database: db.Database, study: str) -> None:
    mine = holding.take(database, study, 0, "ada")
    assert mine is not None
    with pytest.raises(RuntimeError, match="told badly"), holding.telling(database, mine):
        raise RuntimeError("told badly")
    assert holding.is_held(database, mine)


def _race(arguments: tuple[str, str, str]) -> list[int]:
    """Take every trial that can be had; returns the numbers of those that were."""
    url, study, worker = arguments
    database = db.Database(url)
    got = [trial for trial in range(40) if holding.take(database, study, trial, worker)]
    database.close()
    return got


def test_of_many_threads_exactly_one_gets_each_trial(database: db.Database, study: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = list(pool.map(_race, [(database.url, study, f"worker {index}") for index in range(8)]))
    assert sorted(trial for trials in won for trial in trials) == list(range(40))


@pytest.mark.slow
def test_of_many_processes_exactly_one_gets_each_trial(database: db.Database, study: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        won = pool.map(_race, [(database.url, study, f"worker {index}") for index in range(3)])
    assert sorted(trial for trials in won for trial in trials) == list(range(40))


def test_only_one_claims_in_a_study_at_a_time(database: db.Database, study: str) -> None:
    inside: list[int] = []
    most: list[int] = []

    def claim(index: int) -> None:
        opened = db.Database(database.url)
        with leases.claiming(opened, study):
            inside.append(index)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(index)
        opened.close()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(claim, range(12)))
    assert set(most) == {1}


class Model(RuleBasedStateMachine):
    """The leases of two trials against the plainest model: who holds, whether it ran out, the highest token."""

    given = Bundle("leases")
    database: db.Database
    study: str

    def __init__(self) -> None:
        super().__init__()
        with self.database.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM tuneguard_data.leases")
        self.holder: dict[int, leases.Lease | None] = {0: None, 1: None}
        self.out: dict[int, bool] = {0: False, 1: False}
        self.tokens: dict[int, int] = {0: 0, 1: 0}

    @rule(target=given, trial=st.sampled_from([0, 1]), worker=st.sampled_from(["ada", "bob"]))
    def acquire(self, trial: int, worker: str) -> leases.Lease:
        got = holding.take(self.database, self.study, trial, worker)
        assert (got is not None) == (self.holder[trial] is None or self.out[trial])
        if got is None:
            return leases.Lease(self.study, trial, worker, self.tokens[trial] + 1)  # one that was never given
        assert got.token == self.tokens[trial] + 1
        self.holder[trial], self.out[trial], self.tokens[trial] = got, False, got.token
        return got

    @rule(trial=st.sampled_from([0, 1]))
    def run_out(self, trial: int) -> None:
        run_out(self.database, self.study, trial)
        self.out[trial] = self.holder[trial] is not None

    @rule(lease=given)
    def renew(self, lease: leases.Lease) -> None:
        assert leases.renew(self.database, lease, holding.LONG) == self._is_holder(lease)
        if self._is_holder(lease):
            self.out[lease.trial_number] = False

    @rule(lease=given)
    def release(self, lease: leases.Lease) -> None:
        assert leases.release(self.database, lease) == self._is_holder(lease)
        if self._is_holder(lease):
            self.holder[lease.trial_number] = None
            self.out[lease.trial_number] = False

    @rule(lease=given)
    def tell(self, lease: leases.Lease) -> None:
        told = True
        try:
            with holding.telling(self.database, lease):
                pass
        except errors.LeaseLost:
            told = False
        assert told == self._is_holder(lease)
        if told:
            self.holder[lease.trial_number] = None
            self.out[lease.trial_number] = False

    @rule(lease=given)
    def is_held(self, lease: leases.Lease) -> None:
        held = self._is_holder(lease) and not self.out[lease.trial_number]
        assert holding.is_held(self.database, lease) == held

    @invariant()
    def lists(self) -> None:
        free = [trial for trial in (0, 1) if self.holder[trial] is None or self.out[trial]]
        assert leases.free(self.database, self.study, [0, 1]) == free

    def _is_holder(self, lease: leases.Lease) -> bool:
        return self.holder[lease.trial_number] == lease


@pytest.mark.slow
def test_any_order_of_calls_agrees_with_the_model(database: db.Database, study: str) -> None:
    machine: type[Model] = type("Bound", (Model,), {"database": database, "study": study})
    settings = hypothesis.settings(max_examples=30, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(machine, settings=settings)
