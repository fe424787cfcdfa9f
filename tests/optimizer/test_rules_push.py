"""Every way to a new version of a rule set is checked in the studies that follow it."""

import pathlib

import pytest

from optimizer import cli, errors, opening, settings, wiring
from optimizer.results import reading
from optimizer.running import launch
from optimizer.study import resolved as studies
from storage import database as databases
from storage import rule_versions
from storage import studies as studies_stored

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
STUDY = f"""\
study_version: 1
name: NAME
base: demo
dataset: {CHECKOUT / "examples" / "quickstart" / "dataset"}
space:
  learning_rate: {{float: [1.0e-3, 2.0e-2], log: true}}
  network_dim: {{choices: [4, 8]}}
rules: [rules.yaml]
objectives: {{clip_score: maximize}}
search: {{trials: 4}}
evaluation: {{prompts: [a prompt]}}
"""
RULES = "rules_version: 1\nname: shared\nrules:\n  - {id: limit, refuse: CONDITION, because: A test.}\n"


class Desk:
    """A folder with a rule file, and two studies that follow its set."""

    def __init__(self, services: opening.Services, folder: pathlib.Path) -> None:
        self.services, self.folder = services, folder

    @property
    def rules(self) -> pathlib.Path:
        return self.folder / "rules.yaml"

    def write(self, condition: str) -> None:
        self.rules.write_text(RULES.replace("CONDITION", condition), encoding="utf-8")

    def open(self, name: str, **changes: str) -> None:
        text = STUDY.replace("NAME", name)
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        path = self.folder / "study.yaml"
        path.write_text(text, encoding="utf-8")
        wiring.open_worker(self.services, studies.read(path), launch.Device(None, 1))

    def versions(self) -> list[str]:
        return [f"{each.set_name}@{each.number}" for each in rule_versions.listed(self.services.database)]


@pytest.fixture
def desk(
    database: databases.Database, home: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    environment = {"TUNEGUARD_HOME": str(home), "TUNEGUARD_DATABASE_URL": database.url}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Desk(opening.services(settings.read(environment)), tmp_path)


def push(desk: Desk, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        cli.main(["rules", "push", str(desk.rules)])
    said = capsys.readouterr()
    return int(str(left.value.code)), said.out + said.err


def test_a_version_that_fits_is_pushed_and_its_followers_named(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """It lists no `parameters:`, since the studies that follow it know them."""
    desk.write("learning_rate > 0.01")
    desk.open("a")
    desk.open("b")
    desk.write("learning_rate > 0.005")
    assert push(desk, capsys) == (0, "shared@2, followed by a, b\n")


@pytest.mark.parametrize("condition", ['network_dim == "8"', "network_dimm > 4", "learning_rate >"])
def test_a_version_that_does_not_fit_is_refused_with_the_place_in_its_text(
    desk: Desk, capsys: pytest.CaptureFixture[str], condition: str
) -> None:
    desk.write("learning_rate > 0.01")
    desk.open("a")
    desk.write(condition)
    code, said = push(desk, capsys)
    assert code == 2
    assert "rules.yaml:4:" in said
    assert desk.versions() == ["shared@1"]


def test_each_study_that_a_version_would_break_is_named(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.write("learning_rate > 0.01")
    desk.open("a")
    desk.open("b", **{"  network_dim: {choices: [4, 8]}\n": "", "search:": "fixed: {network_dim: 4}\nsearch:"})
    desk.write('network_dim == "8"')
    code, said = push(desk, capsys)
    assert code == 2
    for name in ("a", "b"):
        assert f"the study {name!r} follows 'shared'" in said
    assert "nothing was pushed" in said
    assert desk.versions() == ["shared@1"]


def test_without_a_study_a_file_is_told_what_it_lacks(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.write("learning_rate > 0.01")
    code, said = push(desk, capsys)
    assert code == 2
    assert "no study follows this set yet" in said
    assert "`parameters:`" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"choices: [4, 8]": "choices: [4, 8, 16]"},
        {"quickstart": "nowhere"},
        {"trials: 4": "trials: 4, pruner: hyperband"},
        {"base: demo": "base: ./missing"},
    ],
    ids=["another space", "no data set", "no pruner", "no base"],
)
def test_a_study_that_is_refused_has_pushed_no_rules(desk: Desk, changes: dict[str, str]) -> None:
    desk.write("learning_rate > 0.01")
    desk.open("a")
    desk.write("learning_rate > 0.002")
    with pytest.raises(errors.BadInput):
        desk.open("a", **changes)
    assert desk.versions() == ["shared@1"]


def test_a_study_s_own_edited_rules_are_not_pushed_where_they_would_break_another(desk: Desk) -> None:
    desk.write("learning_rate > 0.01")
    desk.open("a")
    desk.write("own_knob > 5")
    (desk.folder / "train.py").write_text("", encoding="utf-8")
    other = {
        "base: demo": "base: demo\ntrainer: command",
        "network_dim: {choices: [4, 8]}": "own_knob: {int: [1, 9]}",
        "search:": "fixed: {script: ./train.py}\nsearch:",
    }
    with pytest.raises(errors.BadInput, match="the study 'a' follows 'shared'"):
        desk.open("c", **other)
    assert desk.versions() == ["shared@1"]


def test_a_study_that_cannot_be_read_any_more_keeps_nobody_from_the_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Its trainer came with a package that is not installed here, say, or tells another metric by now."""
    desk.write("learning_rate > 0.01")
    desk.open("old")
    stored = studies_stored.get(desk.services.database, "old")
    with desk.services.database.transaction() as connection:
        gone = stored.document.replace('"clip_score": "maximize"', '"long_gone": "maximize"')
        assert gone != stored.document
        studies_stored.set_document(connection, stored.id, gone)
    desk.open("new")
    assert [study.name for study in reading.followers(desk.services.database)] == ["new"]
    assert [study.name for study, _, _ in reading.all_records(desk.services.database)] == ["new"]
    assert "the study old cannot be read here" in caplog.text
