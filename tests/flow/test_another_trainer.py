"""A trainer of another kind is one declaration and one recipe: videos by class instead of pictures and prompts."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

from tests.flow import place as places

TRAINER = pathlib.Path(__file__).parent / "another_trainer"
STUDY = """\
study_version: 1
name: clips
trainer: clip-classes
base: tiny
dataset: {path: ./clips, frames: 3}
space:
  learning_rate: {float: [0.0, 1.0]}
fixed: {max_train_epochs: 8}
rules: [rules.yaml]
objectives: {accuracy: maximize}
search: {trials: 2, seed: 1, start: [{learning_rate: 1.0}, {learning_rate: 0.0}]}
evaluation: {clips: ./held-out}
"""
RULES = """\
rules_version: 1
name: clips-rules
rules:
  - id: learns-nothing
    stop: step > 2 and train_accuracy < 0.6
    because: It guesses.
  - id: of-pictures
    stop: clip_score < 0.1
    because: A rule that pictures would need.
"""


@pytest.fixture
def study(tmp_path: pathlib.Path) -> pathlib.Path:
    """A study of two classes of clips, and beside it what installing the trainer's package leaves behind."""
    installed = tmp_path / "site" / "clip_classes-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: clip-classes\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[tuneguard.trainers]\nclip-classes = clips_declared:DECLARATION\n")
    random = np.random.default_rng(0)
    for folder in ("clips", "held-out"):
        for label, brightness in (("dark", 0.1), ("light", 0.9)):
            (tmp_path / folder / label).mkdir(parents=True)
            for number in range(4):
                clip = brightness + 0.05 * random.random((3, 6, 8))
                np.save(tmp_path / folder / label / f"{number}.npy", clip)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


def run(place: places.Place, study: pathlib.Path, *words: object) -> subprocess.CompletedProcess[str]:
    """A command where the trainer is installed: Python is started for it, since it looks for packages as it starts."""
    path = os.pathsep.join(map(str, (study.parent / "site", TRAINER, places.CHECKOUT)))
    process = place.start(*words, PYTHONPATH=path)
    out, err = process.communicate(timeout=280)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.slow
def test_what_it_is_told_and_tells_is_checked_by_its_own_models(place: places.Place, study: pathlib.Path) -> None:
    checked = run(place, study, "study", "check", study)
    assert checked.returncode == 0, checked.stderr
    assert "2 trials, 8 clips," in checked.stdout
    (note,) = [line for line in checked.stdout.splitlines() if "of-pictures" in line and line.startswith("note")]
    assert "clip-classes does not tell that while it trains" in note
    assert note.endswith("train_accuracy")


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        {
            ("frames: 3", "frames: many"): "study.yaml:5:34: must be a whole number",
            ("{clips: ./held-out}", "{prompts: [a cat]}"): "study.yaml:12:",
            ("accuracy: max", "clip_score: max"): "study.yaml:10:14: clip-classes tells no 'clip_score' of a trial",
            ("max_train_epochs", "network_dim"): "clip-classes has no such parameter",
        },
        {
            ("./held-out", "./nowhere"): "no such folder",
            ("./clips,", "./nowhere,"): "holds no clips",
            ("train_accuracy", "trane_accuracy"): "did you mean 'train_accuracy'?",
        },
    ],
)
def test_all_that_is_wrong_is_named_with_its_place(
    place: places.Place, study: pathlib.Path, wrong: dict[tuple[str, str], str]
) -> None:
    for file in (study, study.with_name("rules.yaml")):
        text = file.read_text()
        for said, instead in wrong:
            text = text.replace(said, instead)
        file.write_text(text)
    checked = run(place, study, "study", "check", study)
    assert checked.returncode == 2, checked.stdout
    assert [found for found in wrong.values() if found not in checked.stderr] == []


@pytest.mark.slow
def test_it_is_searched_stopped_by_its_own_signal_and_reported(place: places.Place, study: pathlib.Path) -> None:
    done = run(place, study, "study", "run", study)
    assert done.returncode == 0, done.stderr
    shown = run(place, study, "study", "show", "clips", "--json")
    assert shown.returncode == 0, shown.stderr
    good, bad = json.loads(shown.stdout)["trials"]
    assert (good["state"], good["values"]) == ("usable", {"accuracy": 1.0})
    assert bad["state"] == "unusable"
    assert bad["failure"]["rule"] == "learns-nothing"
    assert run(place, study, "study", "report", "clips").returncode == 0
