"""A study from its file to its best LoRA: real Postgres, real Optuna, real accelerate launch, real training."""

import csv
import os
import pathlib
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from safetensors import safe_open

from optimizer import attributes
from tests.flow import place as places
from trainers.contract import events

pytestmark = pytest.mark.slow

#: tests of the one study that `whole` trains run in one process, in order
of_whole = pytest.mark.xdist_group("whole")

FILES = ("best.toml", "best.dataset.toml")


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


def told(place: places.Place, study: str, trial: int, event: str) -> int:
    """How often a trial's trainers have told an event."""
    return sum(1 for found in events_of(place, study, trial) if found.event == event)


def pids(place: places.Place, study: str, trial: int) -> list[int]:
    """The processes that worked on a trial, in order."""
    return [found.data["pid"] for found in events_of(place, study, trial) if found.event == "job-started"]


def told_of(place: places.Place, study: str, trial: int, event: str) -> dict[str, Any]:
    """What a trial's trainer told last by an event."""
    return dict([found.data for found in events_of(place, study, trial) if found.event == event][-1])


def events_of(place: places.Place, study: str, trial: int) -> list[events.Event]:
    files = sorted((place.home / "runs").glob(f"{study}-????????/trial-{trial:04d}/attempt-*/events.jsonl"))
    return [found for file in files for found in events.read(file)[0]]


@pytest.fixture(scope="module")
def whole(place: places.Place) -> tuple[pathlib.Path, str]:
    """A study that two workers ran; its file, and what the run printed."""
    study = place.study("whole", trials=4)
    done = place.run("study", "run", study, "--workers", "2")
    assert done.returncode == 0, done.stderr
    return study, done.stderr


@of_whole
def test_a_study_trains_under_its_rules_and_everything_about_it_can_be_read(
    place: places.Place, whole: tuple[pathlib.Path, str]
) -> None:
    assert "trial 0 starts" in whole[1]
    shown = place.json("study", "show", "whole")
    assert shown["directions"] == {"clip_score": "maximize", "failure_rate": "minimize"}
    assert [trial["state"] for trial in shown["trials"]] == ["usable"] * 4
    for trial in shown["trials"]:
        assert trial["params"]["learning_rate"] <= 0.004
        assert -1 <= trial["values"]["clip_score"] <= 1
        assert trial["values"]["failure_rate"] == 0
        assert trial["seconds"] > 0
        is_restarting = trial["params"]["lr_scheduler"] == "cosine_with_restarts"
        assert ("lr_scheduler_num_cycles" in trial["params"]) == is_restarting
    assert set(shown["refusals"]) == {"high-rate"}
    assert shown["refused_points"] == shown["refusals"]["high-rate"] > 0

    best = place.json("study", "best", "whole")
    scores = [trial["values"]["clip_score"] for trial in shown["trials"]]
    assert best["values"]["clip_score"] == max(scores)
    with safe_open(best["lora"], framework="np") as lora:
        metadata = lora.metadata()
    assert metadata["ss_network_dim"] == str(best["params"]["network_dim"])
    assert float(metadata["ss_network_alpha"]) == best["params"]["network_dim"] * 0.5

    report = place.runs("whole") / "report.html"
    assert "high-rate" in report.read_text(encoding="utf-8")


@of_whole
def test_two_workers_share_a_study_without_taking_each_other_s_trials(
    place: places.Place, whole: tuple[pathlib.Path, str]
) -> None:
    trials = place.json("study", "show", "whole")["trials"]
    assert [trial["state"] for trial in trials] == ["usable"] * 4
    for trial in trials:
        assert told(place, "whole", trial["number"], "job-started") == 1
    assert len({pid for trial in trials for pid in pids(place, "whole", trial["number"])}) == 2


@of_whole
def test_the_study_is_plain_optuna_with_images_as_artifacts(
    place: places.Place, whole: tuple[pathlib.Path, str]
) -> None:
    url = place.run("db", "url").stdout.strip()
    opened = optuna.load_study(study_name="whole", storage=url)
    trial = opened.trials[0]
    assert trial.state == optuna.trial.TrialState.COMPLETE
    assert opened.metric_names == ["clip_score", "failure_rate"]
    assert all(value <= 0 for value in trial.constraints.values())
    metas = optuna.artifacts.get_all_artifact_meta(trial, storage=opened._storage)
    assert len(metas) == 4
    assert all((place.home / "artifacts" / meta.artifact_id).stat().st_size > 0 for meta in metas)


@of_whole
def test_a_second_run_of_a_finished_study_trains_nothing(place: places.Place, whole: tuple[pathlib.Path, str]) -> None:
    assert place.run("study", "run", whole[0]).returncode == 0
    assert len(place.json("study", "show", "whole")["trials"]) == 4


@of_whole
def test_a_study_of_the_same_name_that_would_not_compare_is_refused(
    place: places.Place, whole: tuple[pathlib.Path, str]
) -> None:
    changed = whole[0].with_name("changed.yaml")
    changed.write_text(whole[0].read_text(encoding="utf-8").replace("2.0e-2", "3.0e-2"), encoding="utf-8")
    done = place.run("study", "run", changed)
    assert done.returncode == 2
    assert "another space" in done.stderr


@of_whole
def test_a_trial_is_exported_for_other_trainers(place: places.Place, whole: tuple[pathlib.Path, str]) -> None:
    best = place.json("study", "best", "whole")
    read = tomllib.loads(place.run("study", "export", "whole").stdout)
    assert read["network_dim"] == best["params"]["network_dim"]
    assert read["network_alpha"] == best["params"]["network_dim"] * 0.5
    said = place.json("study", "export", "whole", "-o", place.folder / "best.toml")
    assert (said["trial"], said["files"]) == (best["number"], [str(place.folder / n) for n in FILES])
    written = tomllib.loads((place.folder / "best.toml").read_text(encoding="utf-8"))
    assert written["max_train_steps"] == told_of(place, "whole", best["number"], "trained")["steps"]
    assert said["settings"]["settings"]["resolution"] == 64

    refused = place.run("study", "export", "whole", "--format", "diffusers")
    assert refused.returncode == 2
    assert "network_alpha" in refused.stderr
    assert place.run("study", "export", "whole", "--format", "diffusers", "--anyway").returncode == 0
    assert place.run("study", "export", "whole", "--trial", "99").returncode == 2


@of_whole
def test_all_trials_are_exported_as_a_table(place: places.Place, whole: tuple[pathlib.Path, str]) -> None:
    rows = list(csv.DictReader(place.run("study", "export", "whole", "--format", "csv").stdout.splitlines()))
    trials = place.json("study", "show", "whole")["trials"]
    assert [int(row["trial.number"]) for row in rows] == [trial["number"] for trial in trials]
    assert [float(row["clip_score"]) for row in rows] == [trial["values"]["clip_score"] for trial in trials]
    assert all(pathlib.Path(row["trial.lora"]).is_file() for row in rows)
    assert place.run("study", "export", "whole", "--format", "csv", "--trial", "0").returncode == 2


def test_refused_draws_are_pruned_rows_when_the_study_asks_for_it(place: places.Place) -> None:
    rules = places.RULES.replace("0.004", "0.0016")
    study = place.study("pruned", trials=4, refusals="prune", rules=rules, isolation="process")
    done = place.run("study", "run", study)
    assert done.returncode == 0, done.stderr
    trials = place.json("study", "show", "pruned")["trials"]
    assert len(trials) == 4
    refused = [trial for trial in trials if trial["state"] == "refused"]
    assert refused
    for trial in refused:
        assert trial["refused_by"] == ["high-rate"]
        assert trial["params"]["learning_rate"] > 0.0016
        assert not (place.runs("pruned") / f"trial-{trial['number']:04d}").exists()
    trained = [pids(place, "pruned", trial["number"]) for trial in trials if trial["state"] == "usable"]
    assert len(trained) >= 2
    assert len({pid for found in trained for pid in found}) == len(trained)  # a fresh process each
    url = place.run("db", "url").stdout.strip()
    opened = optuna.load_study(study_name="pruned", storage=url)
    row = opened.trials[refused[0]["number"]]
    assert row.state == optuna.trial.TrialState.PRUNED
    assert row.constraints["high-rate"] > 0


def test_a_trial_survives_ctrl_c_a_killed_worker_and_a_killed_trainer(place: places.Place) -> None:
    """Each time it goes on from its checkpoint, and in the end there is one usable trial."""
    study = place.study("survivor", trials=1, epochs=75)
    process = place.start("study", "run", study)
    wait_for(lambda: told(place, "survivor", 0, "step") >= 2, "the training")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    (trial,) = place.json("study", "show", "survivor")["trials"]
    assert trial["state"] == "interrupted"
    assert trial["values"] == {"clip_score": None, "failure_rate": None}

    process = place.start("study", "run", study, TUNEGUARD_LEASE_SECONDS="1")
    wait_for(lambda: told(place, "survivor", 0, "resumed") == 1, "the first resume")
    process.kill()
    process.communicate()
    time.sleep(1.5)  # the lease runs out by the database's clock

    process = place.start("study", "run", study)
    wait_for(lambda: told(place, "survivor", 0, "resumed") == 2, "the second resume")
    os.kill(pids(place, "survivor", 0)[-1], signal.SIGKILL)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    (trial,) = place.json("study", "show", "survivor")["trials"]
    assert trial["state"] == "usable"
    assert told(place, "survivor", 0, "resumed") == 3


def test_a_stop_rule_ends_a_trial_early_and_it_is_never_the_best(place: places.Place) -> None:
    rules = places.RULES + (
        "  - id: long-enough\n    stop: step >= 20\n    because: Twenty steps are all this test can wait for.\n"
    )
    done = place.run("study", "run", place.study("early", trials=1, epochs=60, rules=rules))
    assert done.returncode == 0, done.stderr
    (trial,) = place.json("study", "show", "early")["trials"]
    assert trial["state"] == "unusable"
    assert trial["failure"]["kind"] == "stopped-by-rule"
    assert trial["stop_rule"] == trial["failure"]["rule"] == "long-enough"
    assert "trial 0 is unusable: stop rule long-enough at step" in done.stderr
    assert "stop rule long-enough at step" in place.run("study", "show", "early").stdout
    best = place.run("study", "best", "early")
    assert best.returncode == 2
    assert "no usable trial" in best.stderr


def watched(study: pathlib.Path, *changes: tuple[str, str]) -> pathlib.Path:
    """The study with pictures every 32 samples, and points of a good and of a far too high rate to begin with."""
    good, diverged = "{learning_rate: 3.0e-3, network_dim: 4, lr_scheduler: cosine}", "learning_rate: 0.3"
    start = f"start: [{good}, {good.replace('learning_rate: 3.0e-3', diverged).replace(': 4', ': 8')}]"
    text = study.read_text(encoding="utf-8")
    for old, new in [
        ("2.0e-2", "5.0e-1"),
        ("  steps: 4\n", "  steps: 4\n  during: {every_samples: 32, prompts: 2}\n"),
        ("sampler: tpe", f"sampler: tpe, {start}"),
        *changes,
    ]:
        assert old in text
        text = text.replace(old, new)
    study.write_text(text, encoding="utf-8")
    return study


def test_a_stop_rule_on_pictures_drawn_during_training_ends_a_diverged_trial(place: places.Place) -> None:
    rules = places.RULES.replace("0.004", "0.5") + (
        "  - id: worse-than-base\n    stop: clip_score_gain < -0.1\n    because: Its pictures are gone.\n"
    )
    study = watched(place.study("gone", trials=2, epochs=8, rules=rules))
    done = place.run("study", "run", study)
    assert done.returncode == 0, done.stderr
    good, diverged = place.json("study", "show", "gone")["trials"]
    assert good["state"] == "usable"
    assert diverged["state"] == "unusable"
    assert diverged["failure"]["kind"] == "stopped-by-rule"
    assert "worse-than-base" in diverged["failure"]["message"]
    assert diverged["failure"]["step"] < 32
    points = [found.data for found in events_of(place, "gone", 1) if found.event == "evaluated"]
    assert points[-1]["metrics"]["clip_score_gain"] < -0.1
    assert told(place, "gone", 0, "evaluated") == 3
    assert told(place, "gone", 1, "sampled") == 0


def test_a_pruner_ends_a_trial_that_fell_behind_and_says_so_everywhere(place: places.Place) -> None:
    rules = places.RULES.replace("0.004", "0.5")
    pruner = ("sampler: tpe", "pruner: asha, primary: clip_score, sampler: tpe")
    study = watched(place.study("behind", trials=2, epochs=8, rules=rules), pruner)
    done = place.run("study", "run", study)
    assert done.returncode == 0, done.stderr
    assert "trial 1 is stopped-early: pruner:asha at step" in done.stderr
    best, behind = place.json("study", "show", "behind")["trials"]
    assert [best["state"], behind["state"]] == ["usable", "stopped-early"]
    assert behind["failure"] is None
    stop = behind["early_stop"]
    assert (stop["by"], stop["total_steps"]) == ("pruner:asha", 32)
    assert stop["step"] < 32
    assert stop["samples"] % 32 == 0
    assert "1 early stops" in done.stdout
    assert f"({32 - stop['step']} steps)" in done.stdout
    assert "stopped-early" in (place.runs("behind") / "report.html").read_text(encoding="utf-8")
    opened = optuna.load_study(study_name="behind", storage=place.run("db", "url").stdout.strip())
    first, second = opened.trials
    assert list(first.intermediate_values) == [32, 64, 96]
    assert second.state == optuna.trial.TrialState.PRUNED
    assert second.constraints == {attributes.TRAINING: 0.0}
    assert first.values is not None
    assert second.intermediate_values[stop["samples"]] == stop["score"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_stops_the_worker_and_the_trial_goes_on_when_there_is_room(place: places.Place) -> None:
    disk = place.home / "runs"
    disk.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        study = place.study("full", trials=1)
        done = place.run("study", "run", study)
        assert done.returncode == 2
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        assert [trial["state"] for trial in place.json("study", "show", "full")["trials"]] == ["interrupted"]
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        assert place.run("study", "run", study).returncode == 0
        assert [trial["state"] for trial in place.json("study", "show", "full")["trials"]] == ["usable"]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def dataset(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the quickstart's images that a test may spoil."""
    return pathlib.Path(shutil.copytree(places.CHECKOUT / "examples" / "quickstart" / "dataset", tmp_path / "dataset"))


def test_a_dataset_with_faults_is_one_error_that_names_each_file(place: places.Place, dataset: pathlib.Path) -> None:
    (dataset / "zorbit-03.png").write_bytes(b"no image")
    (dataset / "zorbit-05.txt").unlink()
    done = place.run("study", "run", place.study("spoiled", dataset=dataset))
    assert done.returncode == 2
    assert "zorbit-03.png" in done.stderr
    assert "zorbit-05" in done.stderr
    assert "Traceback" not in done.stderr
    assert "spoiled" not in {study["name"] for study in place.json("study", "list")}


def test_a_missing_dataset_folder_is_named(place: places.Place) -> None:
    done = place.run("study", "run", place.study("nowhere", dataset=pathlib.Path("/nonexistent/images")))
    assert done.returncode == 2
    assert "/nonexistent/images" in done.stderr
