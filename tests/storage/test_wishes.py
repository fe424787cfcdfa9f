import concurrent.futures
import threading

import hypothesis
import optuna
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from storage import database as db
from storage import errors, leases, studies, trials, wishes, workers
from tests.storage import holding

State = optuna.trial.TrialState
#: seconds without a heartbeat after which these tests take a worker for dead
SILENT = 3600.0


@pytest.fixture
def study(database: db.Database) -> studies.StudyRow:
    return holding.study(database, "kitten")


def begun(database: db.Database, study: studies.StudyRow) -> int:
    """A trial that runs."""
    with database.transaction() as connection:
        return trials.add(connection, study.require_optuna(), optuna.trial.create_trial(state=State.RUNNING))


def end(database: db.Database, study: studies.StudyRow, trial: int) -> None:
    ended = optuna.trial.create_trial(state=State.COMPLETE, values=[0.5])
    with database.transaction() as connection:
        trials.change(connection, study.require_optuna(), trial, ended)


def answer(database: db.Database, wish: wishes.Wish, given: wishes.WishAnswer = "done", said: str = "") -> bool:
    with database.transaction() as connection:
        return wishes.answer(connection, wish, given, said)


def hear(database: db.Database, study: studies.StudyRow, worker: str) -> list[int]:
    return [wish.id for wish in wishes.hear(database, study.id, worker, SILENT)]


def silence(database: db.Database, worker: str) -> None:
    """Let a worker be dead for a day without waiting for it."""
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "UPDATE tuneguard_data.workers SET heartbeat_at = heartbeat_at - interval '1 day' WHERE id = %s", (worker,)
        )


def test_a_wish_says_who_asked_who_heard_it_and_what_came_of_it(database: db.Database, study: studies.StudyRow) -> None:
    trial = begun(database, study)
    asked = wishes.ask(database, study.id, trial, "stop", "ada", note="the loss\x00is flat", details={"keep": True})
    assert (asked.trial_number, asked.asks, asked.actor, asked.details) == (trial, "stop", "ada", {"keep": True})
    assert asked.note == "the loss\ufffdis flat"
    assert (asked.heard_by, asked.answer, asked.said) == (None, None, "")
    lease = holding.take(database, study.id, trial, "worker")
    assert lease is not None
    (heard,) = wishes.hear(database, study.id, "worker", SILENT)
    assert (heard.id, heard.heard_by, heard.heard_under) == (asked.id, "worker", lease.token)
    assert heard.heard_at is not None
    assert heard.heard_at >= asked.asked_at
    assert answer(database, heard, "done", "told as pruned at step 12")
    (kept,) = wishes.listed(database, study.id)
    assert (kept.answer, kept.said) == ("done", "told as pruned at step 12")
    assert kept.answered_at is not None
    assert kept.answered_at >= heard.heard_at


def test_a_wish_that_comes_too_late_is_kept_and_overtaken(database: db.Database, study: studies.StudyRow) -> None:
    trial = begun(database, study)
    early = wishes.ask(database, study.id, trial, "stop", "ada")
    end(database, study, trial)
    late = wishes.ask(database, study.id, trial, "pause", "bob")
    assert (late.answer, late.said) == ("overtaken", "the trial had ended")
    assert hear(database, study, "worker") == []
    assert [(wish.id, wish.answer) for wish in wishes.listed(database, study.id)] == [
        (early.id, "overtaken"),
        (late.id, "overtaken"),
    ]
    assert all(wish.answered_at is not None for wish in wishes.listed(database, study.id))


def test_what_was_done_is_not_overtaken_by_the_end_that_it_brought(
    database: db.Database, study: studies.StudyRow
) -> None:
    trial = begun(database, study)
    wishes.ask(database, study.id, trial, "stop", "ada")
    (heard,) = wishes.hear(database, study.id, "worker", SILENT)
    end(database, study, trial)
    assert answer(database, heard)
    assert [wish.answer for wish in wishes.listed(database, study.id)] == ["done"]


def test_an_ended_trial_can_be_asked_for_again(database: db.Database, study: studies.StudyRow) -> None:
    trial = begun(database, study)
    end(database, study, trial)
    again = wishes.ask(database, study.id, trial, "requeue", "ada")
    assert again.answer is None
    assert hear(database, study, "worker") == [again.id]


def test_nothing_can_be_asked_of_what_is_not_there(database: db.Database, study: studies.StudyRow) -> None:
    with pytest.raises(errors.NotFound, match="Trial 3 is not there"):
        wishes.ask(database, study.id, 3, "stop", "ada")
    studies.delete(database, study.id)
    with pytest.raises(errors.NotFound, match="The study is not there"):
        wishes.ask(database, study.id, None, "pause", "ada")


@pytest.mark.slow
def test_two_persons_who_ask_at_once_are_both_kept_and_each_wish_is_heard_once(
    database: db.Database, study: studies.StudyRow
) -> None:
    def ask(index: int) -> int:
        opened = db.Database(database.url)
        asked = wishes.ask(opened, study.id, None, "pause" if index % 2 else "resume", f"person {index}")
        opened.close()
        return asked.id

    is_over = threading.Event()

    def listen(_: int) -> list[int]:
        opened = db.Database(database.url)
        name = workers.register(opened, "host", 1)
        heard = []
        while not is_over.is_set():
            heard += hear(opened, study, name)
        opened.close()
        return heard

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        listening = pool.map(listen, range(4))
        asked = list(pool.map(ask, range(96)))
        is_over.set()
        heard = [each for some in listening for each in some]
    heard += hear(database, study, workers.register(database, "host", 2))
    assert sorted(heard) == sorted(asked)
    assert len({wish.actor for wish in wishes.listed(database, study.id)}) == 96


def test_a_trial_s_wish_is_its_holder_s_and_goes_with_the_trial(database: db.Database, study: studies.StudyRow) -> None:
    trial = begun(database, study)
    first = holding.take(database, study.id, trial, "ada")
    assert first is not None
    wishes.ask(database, study.id, trial, "stop", "person")
    assert hear(database, study, "bob") == []
    (heard,) = wishes.hear(database, study.id, "ada", SILENT)
    assert hear(database, study, "ada") == []
    leases.release(database, first)
    assert holding.take(database, study.id, trial, "bob") is not None
    (again,) = wishes.hear(database, study.id, "bob", SILENT)
    assert again.id == heard.id
    assert not answer(database, heard)  # it is the new holder's to answer
    assert answer(database, again)
    assert not answer(database, again, "declined")
    assert [wish.answer for wish in wishes.listed(database, study.id)] == ["done"]


@pytest.mark.parametrize("ending", [workers.leave, silence])
def test_what_a_worker_heard_and_took_with_it_is_heard_again(
    database: db.Database,
    study: studies.StudyRow,
    ending: object,
) -> None:
    ada, bob = workers.register(database, "host", 1), workers.register(database, "host", 2)
    asked = wishes.ask(database, study.id, None, "finish", "person")
    assert hear(database, study, ada) == [asked.id]
    assert hear(database, study, bob) == []
    assert callable(ending)
    ending(database, ada)
    assert hear(database, study, bob) == [asked.id]


def test_wishes_of_other_studies_are_not_heard_and_go_with_their_study(
    database: db.Database, study: studies.StudyRow
) -> None:
    other = holding.study(database, "other")
    wishes.ask(database, other.id, None, "pause", "ada")
    assert hear(database, study, "worker") == []
    assert wishes.listed(database, study.id) == []
    studies.delete(database, other.id)
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM tuneguard_data.wishes").scalar_one() == 0


class Model(RuleBasedStateMachine):
    """The wishes on a study and two trials against the plainest model: who holds, who heard, what was answered."""

    heard = Bundle("heard")
    database: db.Database
    study: studies.StudyRow

    def __init__(self) -> None:
        super().__init__()
        with self.database.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM tuneguard_data.wishes; DELETE FROM tuneguard_data.workers")
        self.trials = {at: begun(self.database, self.study) for at in (0, 1)}
        self.holder: dict[int, leases.Lease | None] = {0: None, 1: None}
        self.ended: set[int] = set()
        self.workers = {name: workers.register(self.database, name, 1) for name in ("ada", "bob")}
        #: wish -> its target, who heard it under which token, and its answer
        self.wishes: dict[int, tuple[int | None, tuple[str, int | None] | None, str | None]] = {}

    @rule(at=st.sampled_from([None, 0, 1]), asks=st.sampled_from(["pause", "resume"]))
    def ask(self, at: int | None, asks: wishes.WishKind) -> None:
        made = wishes.ask(self.database, self.study.id, None if at is None else self.trials[at], asks, "person")
        self.wishes[made.id] = (at, None, None)

    @rule(at=st.sampled_from([0, 1]), name=st.sampled_from(["ada", "bob"]))
    def take(self, at: int, name: str) -> None:
        got = holding.take(self.database, self.study.id, self.trials[at], self.workers[name])
        assert (got is None) == (self.holder[at] is not None)
        self.holder[at] = self.holder[at] or got

    @rule(at=st.sampled_from([0, 1]))
    def let_go(self, at: int) -> None:
        held = self.holder[at]
        if held is not None:
            leases.release(self.database, held)
            self.holder[at] = None

    @rule(at=st.sampled_from([0, 1]))
    def end(self, at: int) -> None:
        if at not in self.ended:
            end(self.database, self.study, self.trials[at])
            self.ended.add(at)

    @rule(name=st.sampled_from(["ada", "bob"]))
    def die(self, name: str) -> None:
        """Another process goes on under a new id."""
        silence(self.database, self.workers[name])
        self.workers[name] = workers.register(self.database, name, 1)

    @rule(target=heard, name=st.sampled_from(["ada", "bob"]))
    def hear(self, name: str) -> list[wishes.Wish]:
        worker = self.workers[name]
        found = wishes.hear(self.database, self.study.id, worker, SILENT)
        assert [wish.id for wish in found] == [id_ for id_ in sorted(self.wishes) if self._is_to_hear(id_, worker)]
        for wish in found:
            at, _, given = self.wishes[wish.id]
            self.wishes[wish.id] = (at, (worker, self._token(at)), given)
        return found

    @rule(some=heard, given=st.sampled_from(["done", "declined"]))
    def answer(self, some: list[wishes.Wish], given: wishes.WishAnswer) -> None:
        for wish in some:
            at, by, before = self.wishes[wish.id]
            taken = answer(self.database, wish, given)
            assert taken == (before is None and by == (wish.heard_by, wish.heard_under))
            if taken:
                self.wishes[wish.id] = (at, by, given)

    @invariant()
    def lists(self) -> None:
        known = {
            id_: given or ("overtaken" if at in self.ended else None) for id_, (at, _, given) in self.wishes.items()
        }
        assert {wish.id: wish.answer for wish in wishes.listed(self.database, self.study.id)} == known

    def _token(self, at: int | None) -> int | None:
        held = None if at is None else self.holder[at]
        return None if held is None else held.token

    def _is_to_hear(self, id_: int, worker: str) -> bool:
        at, by, given = self.wishes[id_]
        held = None if at is None else self.holder[at]
        if given is not None or at in self.ended or (held is not None and held.worker_id != worker):
            return False
        if by is None or by[1] != self._token(at):
            return True
        return held is None and by[0] not in self.workers.values()


@pytest.mark.slow
def test_any_order_of_calls_agrees_with_the_model(database: db.Database, study: studies.StudyRow) -> None:
    machine: type[Model] = type("Bound", (Model,), {"database": database, "study": study})
    settings = hypothesis.settings(max_examples=25, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(machine, settings=settings)
