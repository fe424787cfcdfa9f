"""What a database knows is asked before training, too; what is refused leaves nothing behind."""

import json
import pathlib

from tests.flow import place as places


def names(place: places.Place) -> set[str]:
    return {found["name"] for found in place.json("study", "list")}


def changed(study: pathlib.Path, old: str, new: str) -> pathlib.Path:
    text = study.read_text(encoding="utf-8")
    assert old in text
    study.write_text(text.replace(old, new), encoding="utf-8")
    return study


def test_a_missing_base_leaves_neither_a_study_nor_a_trial(place: places.Place) -> None:
    study = changed(place.study("baseless"), "base: demo", "base: ./gone")
    done = place.run("study", "run", study)
    assert done.returncode == 2
    assert "study.yaml:3:7" in done.stderr
    assert "no such folder or file" in done.stderr
    assert "baseless" not in names(place)
    assert not list((place.home / "runs").glob("baseless*"))


def test_a_name_that_another_study_has_is_found_by_the_check(place: places.Place) -> None:
    first = place.study("taken", trials=1)
    point = {"learning_rate": 0.003, "network_dim": 4, "lr_scheduler": "cosine"}
    assert place.run("study", "run", first).returncode == 0
    assert place.run("study", "check", first).returncode == 0
    changed(first, "seeds: [1, 2]", "seeds: [1, 2, 3]")
    done = place.run("study", "check", first)
    assert done.returncode == 2
    assert "study.yaml:2:7" in done.stderr
    assert "another evaluation" in done.stderr
    assert "study delete taken" in done.stderr
    refused = place.run("study", "enqueue", "taken", "--params", json.dumps({**point, "learning_rate": 0.01}))
    assert refused.returncode == 2
    assert "high-rate refuses this point" in refused.stderr
    partly = place.run("study", "enqueue", "taken", "--params", '{"learning_rate": 0.01}')
    assert partly.returncode == 2
    assert "high-rate" in partly.stderr
    anyway = place.run("study", "enqueue", "taken", "--params", json.dumps({"learning_rate": 0.01}), "--anyway")
    assert anyway.returncode == 0, anyway.stderr
    assert place.run("study", "enqueue", "taken", "--params", json.dumps(point)).returncode == 0
