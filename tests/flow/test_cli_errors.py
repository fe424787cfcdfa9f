"""What a person can get wrong is one clear message and its exit code, never a traceback, and leaves nothing behind."""

import pathlib
import socket

import pytest

from optimizer import cli
from tests.flow import place as places

pytestmark = pytest.mark.slow


@pytest.fixture
def elsewhere(tmp_path: pathlib.Path) -> places.Place:
    """A place without a database of its own yet."""
    home = tmp_path / "home"
    home.mkdir()
    return places.Place(home, tmp_path)


def assert_clear(done: object, code: int, *words: str) -> None:
    said = str(getattr(done, "stderr", ""))
    assert getattr(done, "returncode", None) == code, said
    assert "Traceback" not in said
    for word in words:
        assert word in said


def test_an_unreachable_database_is_named_without_its_password(elsewhere: places.Place) -> None:
    done = elsewhere.run("study", "list", TUNEGUARD_DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/x")
    assert_clear(done, 4, "127.0.0.1:1", "TUNEGUARD_DATABASE_URL")
    assert "hunter2" not in done.stderr + done.stdout


def test_a_database_url_that_is_none_is_bad_input(elsewhere: places.Place) -> None:
    assert_clear(elsewhere.run("study", "list", TUNEGUARD_DATABASE_URL="mysql://me@host/x"), 2, "postgresql")


def test_a_port_in_use_is_named(elsewhere: places.Place) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert_clear(elsewhere.run("db", "up", "--port", port), 2, str(port))


def test_a_data_folder_of_another_postgres_version_is_named(elsewhere: places.Place) -> None:
    data = elsewhere.home / "postgres" / "data"
    (data / "global").mkdir(parents=True)
    (data / "global" / "pg_control").write_bytes(b"")
    (data / "PG_VERSION").write_text("16\n", encoding="utf-8")
    assert_clear(elsewhere.run("db", "up"), 2, "Postgres 16")
    assert (data / "PG_VERSION").read_text(encoding="utf-8") == "16\n"


def test_a_wrong_study_file_starts_no_database(elsewhere: places.Place) -> None:
    study = elsewhere.study("wrong")
    study.write_text(study.read_text(encoding="utf-8").replace("objectives", "objectivs"), encoding="utf-8")
    assert_clear(elsewhere.run("study", "run", study), 2, "study.yaml:", "did you mean 'objectives'?")
    assert not list(elsewhere.home.iterdir())


def test_a_wrong_rule_file_is_named_with_line_and_column(place: places.Place) -> None:
    rules = places.RULES.replace("learning_rate > 0.004", "learning_rte > 0.004")
    study = place.study("wrong-rules", rules=rules)
    done = place.run("study", "check", study)
    assert_clear(done, 2, "rules.yaml:5:", "learning_rte", "learning_rate")
    done = place.run("study", "run", study)
    assert_clear(done, 2, "rules.yaml:5:", "learning_rte", "learning_rate")
    assert "wrong-rules" not in {found["name"] for found in place.json("study", "list")}


def test_rules_that_leave_nothing_end_with_their_own_exit_code(place: places.Place) -> None:
    rules = places.RULES.replace("learning_rate > 0.004", "learning_rate > 0.0001")
    study = place.study("empty", rules=rules)
    done = place.run("study", "check", study)
    assert done.returncode == 3
    assert "high-rate" in done.stdout
    assert_clear(place.run("study", "run", study), 3, "high-rate")


@pytest.mark.parametrize(
    "words",
    [
        ("study", "list"),
        ("study", "show", "kitten"),
        ("study", "best", "kitten"),
        ("study", "report", "kitten"),
        ("study", "export", "kitten"),
        ("study", "enqueue", "kitten", "--params", "{}"),
        ("study", "delete", "kitten", "--yes"),
        ("worker", "run", "kitten"),
        ("rules", "push", "RULES"),
        ("rules", "suggest", "--study", "kitten"),
        ("web", "--port", "18099"),
        ("db", "url"),
        ("db", "migrate"),
        ("db", "verify"),
    ],
)
def test_a_command_in_a_folder_without_a_database_says_where_it_looked_and_makes_none(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TUNEGUARD_HOME", str(tmp_path / ".tuneguard"))
    monkeypatch.delenv("TUNEGUARD_DATABASE_URL", raising=False)
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules_version: 1\nname: mine\nrules: [{id: a, refuse: rank > 1, because: A test.}]\n", "utf-8")
    with pytest.raises(SystemExit) as left:
        cli.main([str(rules) if word == "RULES" else word for word in words])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert f"there is no database in {tmp_path}/.tuneguard" in said
    assert "TUNEGUARD_HOME" in said
    assert [path.name for path in tmp_path.iterdir()] == ["rules.yaml"]


def test_an_unknown_study_names_those_there_are(place: places.Place) -> None:
    assert_clear(place.run("study", "show", "nonesuch"), 2, "nonesuch")
