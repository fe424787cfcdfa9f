import types

import pytest
import sqlalchemy

from storage import database as db
from storage import refusals
from tests.storage import holding


@pytest.fixture
def study(database: db.Database) -> str:
    return holding.study(database, "kitten").id


def record(database: db.Database, study: str, kept: list[refusals.Refusal]) -> None:
    with database.transaction() as connection:
        refusals.record(connection, study, kept)


def refusal(*rules: str, origin: refusals.RefusalOrigin = "sampled") -> refusals.Refusal:
    return refusals.Refusal({"dim": 4, "optimizer": "Prodigy"}, rules, dict.fromkeys(rules, 0.5), origin)


def test_each_rule_that_refused_a_point_counts_and_each_point_counts_once(database: db.Database, study: str) -> None:
    other = holding.study(database, "other").id
    record(database, study, [refusal("b"), refusal("a", "b"), refusal("b", origin="enqueued")])
    record(database, other, [refusal("c")])
    record(database, study, [])
    assert list(refusals.count_by_rule(database, study).items()) == [("b", 3), ("a", 1)]
    assert refusals.total(database, study) == 3
    assert refusals.count_by_rule(database, other) == {"c": 1}


def test_a_refusal_comes_back_as_it_was_recorded_newest_first(database: db.Database, study: str) -> None:
    version = holding.push(database, "set", "text")
    first = refusals.Refusal({"lr": 1e-4, "flip": True}, ("a",), {"a": 0.25}, "enqueued", (version.id, 7))
    record(database, study, [first, refusal("b")])
    assert [kept.refusal for kept in refusals.recent(database, study)] == [refusal("b"), first]
    assert len(refusals.recent(database, study, limit=1)) == 1


def test_any_mapping_may_hold_the_values_and_what_is_not_finite_becomes_null(database: db.Database, study: str) -> None:
    frozen = refusals.Refusal(types.MappingProxyType({"lr": float("nan")}), ("a",), {"a": float("inf")}, "sampled")
    record(database, study, [frozen])
    kept = refusals.recent(database, study)[0].refusal
    assert dict(kept.params) == {"lr": None}
    assert list(kept.violations.values()) == [None]


def test_thousands_are_recorded_in_one_statement(database: db.Database, study: str) -> None:
    statements: list[str] = []
    sqlalchemy.event.listen(database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    record(database, study, [refusal("a")] * 2000)
    assert refusals.total(database, study) == 2000
    assert sum(statement.startswith("INSERT") for statement in statements) <= 2


def test_an_unknown_origin_is_refused_by_the_database(database: db.Database, study: str) -> None:
    with pytest.raises(sqlalchemy.exc.IntegrityError, match="ck_refusals_origin"):
        record(database, study, [refusal("a", origin="guessed")])  # type: ignore[arg-type]
