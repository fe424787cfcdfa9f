import concurrent.futures
import hashlib

import pytest
import sqlalchemy

from storage import database as db
from storage import errors, rule_versions
from tests.storage import holding


def test_versions_of_a_set_are_numbered_from_one(database: db.Database) -> None:
    numbers = [
        holding.push(database, name, text).number for name, text in [("a", "A"), ("b", "A"), ("a", "B"), ("a", "C")]
    ]
    assert numbers == [1, 1, 2, 3]
    assert rule_versions.newest(database, "a").text == "C"
    assert rule_versions.get(database, "a", 2).text == "B"
    assert [version.text for version in rule_versions.listed(database, "a")] == ["A", "B", "C"]
    assert len(rule_versions.listed(database)) == 4


def test_the_newest_text_again_makes_no_version_but_an_older_one_does(database: db.Database) -> None:
    first = holding.push(database, "a", "A", author="ada", note="begin")
    assert holding.push(database, "a", "A", author="bob") == first
    holding.push(database, "a", "B")
    back = holding.push(database, "a", "A", author="ada", note="went back")
    assert (back.number, back.note, back.sha256) == (3, "went back", hashlib.sha256(b"A").hexdigest())


def test_what_is_not_there_is_an_error(database: db.Database) -> None:
    with pytest.raises(errors.NotFound, match="no rule set 'a'"):
        rule_versions.newest(database, "a")
    holding.push(database, "a", "A")
    with pytest.raises(errors.NotFound, match="no version 2 of the rule set 'a'"):
        rule_versions.get(database, "a", 2)


def test_the_latest_version_of_each_set_in_the_order_asked_for(database: db.Database) -> None:
    for name, text in [("b", "B1"), ("a", "A1"), ("b", "B2")]:
        holding.push(database, name, text)
    with database.transaction() as connection:
        found = rule_versions.latest(connection, ["b", "missing", "a"])
        assert [version.text for version in found] == ["B2", "A1"]
        assert rule_versions.latest(connection, []) == []


@pytest.mark.parametrize(
    "change", ["UPDATE tuneguard_data.rule_versions SET text = 'B'", "DELETE FROM tuneguard_data.rule_versions"]
)
def test_the_database_itself_refuses_to_change_or_delete_a_version(database: db.Database, change: str) -> None:
    holding.push(database, "a", "A")
    with (
        pytest.raises(sqlalchemy.exc.DBAPIError, match="rule_versions is append-only"),
        database.transaction() as connection,
    ):
        connection.exec_driver_sql(change)


def test_many_writers_at_once_leave_no_gap_and_no_double_number(database: db.Database) -> None:
    def push(index: int) -> int:
        opened = db.Database(database.url)
        try:
            return holding.push(opened, "a", f"text {index}").number
        finally:
            opened.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(push, range(24))) == list(range(1, 25))
