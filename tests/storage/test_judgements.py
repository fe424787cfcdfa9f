import hypothesis
import pytest
import sqlalchemy
from hypothesis import strategies as st

from storage import database as db
from storage import judgements, leases, studies
from tests.storage import holding

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
#: jsonb gives larger floats back as whole numbers
FINITE = st.floats(-1e15, 1e15)
JUDGED = st.builds(
    judgements.Judgement,
    origin=st.sampled_from(["sampled", "enqueued", "repeat", "taken-up"]),
    rule_version_ids=st.lists(st.integers(1, 2**40), max_size=3).map(tuple),
    weight=st.floats(0, 1),
    refused_by=st.lists(NAMES, max_size=2).map(tuple),
    discouraged_by=st.lists(NAMES, max_size=2).map(tuple),
    margins=st.dictionaries(NAMES, FINITE, max_size=3),
    undecided=st.dictionaries(NAMES, NAMES, max_size=2),
    facts=st.dictionaries(NAMES, FINITE | NAMES, max_size=3),
)
SAMPLED = judgements.Judgement("sampled", (1, 2))


@pytest.fixture
def study(database: db.Database) -> str:
    return holding.study(database, "kitten").id


def take(
    database: db.Database, study: str, trial: int, worker: str, judged: judgements.Judgement = SAMPLED
) -> leases.Lease | None:
    with database.transaction() as connection:
        return judgements.take(connection, study, trial, worker, holding.LONG, judged)


@hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(judged=JUDGED)
def test_a_judgement_is_read_as_it_was_made(database: db.Database, study: str, judged: judgements.Judgement) -> None:
    before = len(judgements.listed(database, study))
    lease = take(database, study, before, "ada", judged)
    assert lease == leases.Lease(study, before, "ada", 1)
    (found,) = judgements.listed(database, study, before)
    assert (found.trial_number, found.worker_id) == (before, "ada")
    assert found.judgement == judged


def test_only_who_gets_the_trial_leaves_a_judgement(database: db.Database, study: str) -> None:
    mine = take(database, study, 0, "ada")
    assert mine is not None
    assert take(database, study, 0, "bob") is None
    leases.release(database, mine)
    newer = judgements.Judgement("taken-up", (1, 3), refused_by=["high-rate"], margins={"high-rate": 0.5})
    assert take(database, study, 0, "bob", newer) == leases.Lease(study, 0, "bob", 2)
    assert [(each.worker_id, each.judgement.origin) for each in judgements.listed(database, study)] == [
        ("ada", "sampled"),
        ("bob", "taken-up"),
    ]
    with database.transaction() as connection:
        assert judgements.latest_versions(connection, study, 0) == (1, 3)
        assert judgements.latest_versions(connection, study, 1) is None


def test_a_lease_that_comes_to_nothing_leaves_no_judgement(database: db.Database, study: str) -> None:
    def begin() -> None:
        with database.transaction() as connection:
            assert judgements.take(connection, study, 0, "ada", holding.LONG, SAMPLED) is not None
            raise RuntimeError("the trial could not be written")

    with pytest.raises(RuntimeError, match="could not be written"):
        begin()
    assert judgements.listed(database, study) == []
    assert holding.take(database, study, 0, "bob") is not None


def test_lease_and_judgement_are_one_statement(database: db.Database, study: str) -> None:
    said: list[str] = []
    with database.transaction() as connection:
        sqlalchemy.event.listen(connection, "before_cursor_execute", lambda *given: said.append(given[2]))
        judgements.take(connection, study, 0, "ada", holding.LONG, SAMPLED)
    assert len(said) == 1


def test_judgements_go_with_their_study(database: db.Database, study: str) -> None:
    take(database, study, 0, "ada")
    studies.delete(database, study)
    assert judgements.listed(database, study) == []
