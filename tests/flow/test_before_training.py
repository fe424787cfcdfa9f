"""What a database knows is asked before training, too; what is refused leaves nothing behind."""

import json
import pathlib

import pytest

from tests.flow import place as places
from tests.flow import scripted

RULES = """\
rules_version: 1
name: taken-rules
rules:
  - id: large
    refuse: dim > 500
    because: A test wants refusals.
"""


def names(place: places.Place) -> set[str]:
    return {found["name"] for found in place.json("study", "list")}


def changed(study: pathlib.Path, old: str, new: str) -> pathlib.Path:
    text = study.read_text(encoding="utf-8")
    assert old in text
    study.write_text(text.replace(old, new), encoding="utf-8")
    return study


@pytest.mark.slow
def test_a_missing_base_leaves_neither_a_study_nor_a_trial(place: places.Place) -> None:
    study = changed(place.study("baseless"), "base: demo", "base: ./gone")
    done = place.run("study", "run", study)
    assert done.returncode == 2
    assert "study.yaml:3:7" in done.stderr
    assert "no such folder or file" in done.stderr
    assert "baseless" not in names(place)
    assert not list((place.home / "runs").glob("baseless*"))


@pytest.mark.slow
def test_a_name_that_another_study_has_is_found_by_the_check(place: places.Place) -> None:
    first = scripted.study(place, "taken", trials=1, rules=RULES)
    changed(first, "space:\n", "space:\n  width: {int: [1, 9]}\n")
    point = {"dim": 7, "width": 3}
    assert place.run("study", "run", first).returncode == 0
    assert place.run("study", "check", first).returncode == 0
    changed(first, "[a zorbit monster]", "[a zorbit monster, a zorbit cat]")
    done = place.run("study", "check", first)
    assert done.returncode == 2
    assert "study.yaml:2:7" in done.stderr
    assert "another evaluation" in done.stderr
    assert "study delete taken" in done.stderr
    refused = place.run("study", "enqueue", "taken", "--params", json.dumps({**point, "dim": 700}))
    assert refused.returncode == 2
    assert "large refuses this point" in refused.stderr
    partly = place.run("study", "enqueue", "taken", "--params", '{"dim": 700}')
    assert partly.returncode == 2
    assert "large" in partly.stderr
    anyway = place.run("study", "enqueue", "taken", "--params", json.dumps({"dim": 700}), "--anyway")
    assert anyway.returncode == 0, anyway.stderr
    assert place.run("study", "enqueue", "taken", "--params", json.dumps(point)).returncode == 0
