"""A trainer that cannot train is found out before a trial exists."""

import pathlib

import pytest

from optimizer import check, errors
from optimizer.forecast import readiness
from optimizer.study import resolved as study
from tests.trainers.kohya import test_probe as probes
from trainers.kohya import settings as kohya_settings

STUDY = """\
study_version: 1
name: ready
trainer: sd-scripts
base: {base}
dataset: {dataset}
space:
  learning_rate: {{float: [1.0e-5, 1.0e-4], log: true}}
  bucket_reso_steps: {{int: [32, 128], step: 32}}
fixed: {{sd_scripts: {checkout}, enable_bucket: true, max_train_steps: 2}}
objectives: {{clip_score: maximize}}
evaluation: {{prompts: [a cat]}}
"""
DATASET = pathlib.Path(__file__).resolve().parents[3] / "examples" / "quickstart" / "dataset"


def read(folder: pathlib.Path, base: str, **words: object) -> study.Draft:
    known = {"imported": "json", "cuda": True, "options": list(kohya_settings.OPTIONS), **words}
    (folder / "train_network.py").write_text(probes.SCRIPT.format(**known), encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(STUDY.format(base=base, dataset=DATASET, checkout=folder), encoding="utf-8")
    return study.draft(path)


def test_the_check_names_all_that_stands_in_the_way_of_sd_scripts(tmp_path: pathlib.Path) -> None:
    options = [name for name in kohya_settings.OPTIONS if name != "v2"]
    with pytest.raises(errors.BadInput) as caught:
        check.check(read(tmp_path, "demo", options=options))
    for said in ("knows no option v2", "own size", "multiples of 64", "not 32"):
        assert said in str(caught.value)


def test_what_an_environment_is_stands_in_the_notes(tmp_path: pathlib.Path) -> None:
    """The base is not here, so nothing is said of it."""
    ready = readiness.look(read(tmp_path, "someone/model").study, {"launch"})
    assert [each for each in ready.obstacles if each.where == ("trainer",)] == []
    assert "sd-scripts" in ready.notes[0]


def test_our_own_trainer_needs_no_asking(tmp_path: pathlib.Path) -> None:
    ours = read(tmp_path, "demo").study.model_copy(update={"trainer": "diffusion-lora"})
    found = readiness.look(ours)
    assert (found.obstacles, found.notes) == ((), ())
