"""docs/howto/own-trainer.md followed from an empty folder: its script, its study, and nothing else."""

import pathlib
import re
import shutil

import pytest

from tests.flow import place as places


@pytest.fixture
def howto(place: places.Place, tmp_path: pathlib.Path) -> pathlib.Path:
    """The study file of the page, with its script beside it and images where it says; the page's own words."""
    page = (places.CHECKOUT / "docs" / "howto" / "own-trainer.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (study,) = re.findall(r"```yaml\n(study_version.*?)```", page, flags=re.DOTALL)
    (tmp_path / "train.py").write_text(script, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    shutil.copytree(places.CHECKOUT / "examples" / "quickstart" / "dataset", tmp_path / "images")
    return tmp_path / "study.yaml"


@pytest.mark.slow
def test_the_study_of_the_howto_is_checked_run_and_reported(place: places.Place, howto: pathlib.Path) -> None:
    """From another folder than the study's: `./train.py` counts from the study file."""
    checked = place.run("study", "check", howto)
    assert checked.returncode == 0, checked.stderr
    done = place.run("study", "run", howto, "--trials", "2")
    assert done.returncode == 0, done.stderr
    trials = place.json("study", "show", "mean-colour")["trials"]
    assert [trial["state"] for trial in trials] == ["usable", "usable"]
    assert all(trial["values"]["colour_error"] is not None for trial in trials)
    assert place.run("study", "report", "mean-colour").returncode == 0


@pytest.mark.slow
def test_a_script_that_is_not_there_or_no_python_is_found_by_the_check(
    place: places.Place, howto: pathlib.Path
) -> None:
    script = howto.parent / "train.py"
    script.write_text("def train(:\n", encoding="utf-8")
    wrong = place.run("study", "check", howto)
    assert wrong.returncode == 2
    assert "is no Python script" in wrong.stderr
    script.unlink()
    missing = place.run("study", "run", howto)
    assert missing.returncode == 2
    assert f"script: {script}: no such file" in missing.stderr
    assert "study.yaml:9:" in missing.stderr
