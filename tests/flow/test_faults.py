"""What a night brings: the database restarts, workers are killed or stopped at bad moments, scripts tell nonsense."""

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import optuna
import pytest

from storage.server import embedded
from tests.flow import place as places
from tests.flow import stepping
from trainers.contract import events

pytestmark = pytest.mark.slow


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


def told(place: places.Place, study: str, trial: int = 0) -> list[events.Event]:
    """Everything that a trial's trainers have told, attempt by attempt."""
    files = sorted((place.home / "runs").glob(f"{study}-????????/trial-{trial:04d}/attempt-*/events.jsonl"))
    return [found for file in files for found in events.read(file)[0]]


def names(place: places.Place, study: str, trial: int = 0) -> list[str]:
    return [event.event for event in told(place, study, trial)]


def steps(place: places.Place, study: str, trial: int = 0) -> list[int]:
    return [event.data["step"] for event in told(place, study, trial) if event.event == "step"]


def states(place: places.Place, study: str) -> list[str]:
    return [trial["state"] for trial in place.json("study", "show", study)["trials"]]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test starts; what is left of them ends with it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("moment", ["training", "telling"])
def test_an_outage_of_the_database_ends_no_worker_and_repeats_no_step(
    place: places.Place, started: list[subprocess.Popen[str]], moment: str
) -> None:
    """The outage outlasts the lease; the trial in progress is told once, and the next one follows."""
    name = f"outage-{moment}"
    study = stepping.study(place, name, trials=2, steps=30, seconds=0.1 if moment == "training" else 0.02)
    process = place.start("study", "run", study, TUNEGUARD_LEASE_SECONDS="2")
    started.append(process)
    wait_for(lambda: "step" in names(place, name), "the training")
    assert embedded.stop(place.home)
    if moment == "training":
        seen = len(steps(place, name))
        time.sleep(4)
        assert len(steps(place, name)) > seen
    else:
        wait_for(lambda: "job-finished" in names(place, name), "the end of the trial")
        time.sleep(1)
    embedded.start(place.home)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert states(place, name) == ["usable", "usable"]
    for trial in (0, 1):
        assert steps(place, name, trial) == list(range(1, 31))
        assert names(place, name, trial).count("job-started") == 1
    row = optuna.load_study(study_name=name, storage=place.run("db", "url").stdout.strip()).trials[0]
    assert list(row.intermediate_values) == list(range(1, 31))


def test_an_outage_that_lasts_too_long_keeps_the_result_for_whoever_comes_next(
    place: places.Place, started: list[subprocess.Popen[str]]
) -> None:
    study = stepping.study(place, "too-long", steps=20, seconds=0.05)
    environment = {"TUNEGUARD_LEASE_SECONDS": "1", "TUNEGUARD_DATABASE_WAIT": "1"}
    process = place.start("study", "run", study, **environment)
    started.append(process)
    wait_for(lambda: "trained" in names(place, "too-long"), "the training")
    assert embedded.stop(place.home)
    _, said = process.communicate(timeout=120)
    embedded.start(place.home)
    assert process.returncode == 4, said
    assert "cannot be used" in said
    assert names(place, "too-long")[-1] == "job-finished"
    assert states(place, "too-long") == ["interrupted"]
    assert place.run("study", "run", study).returncode == 0
    assert states(place, "too-long") == ["usable"]
    assert names(place, "too-long").count("job-started") == 1


def test_a_worker_that_is_stopped_while_its_trainer_starts_blames_nobody(
    place: places.Place, started: list[subprocess.Popen[str]]
) -> None:
    """One crash would be the end of this trial; the next run trains it."""
    study = stepping.study(place, "impatient", attempts=1)
    process = place.start("study", "run", study)
    started.append(process)
    jobs = "impatient-????????/trial-0000/attempt-1/job.json"
    wait_for(lambda: any((place.home / "runs").glob(jobs)), "the launch")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert states(place, "impatient") == ["interrupted"]
    assert place.run("study", "run", study).returncode == 0
    assert states(place, "impatient") == ["usable"]


def test_what_a_script_tells_wrongly_is_left_out_and_named(place: places.Place) -> None:
    nonsense = """\
file = paths.JobPaths(pathlib.Path(train_job.directory)).events
with file.open("a") as raw:
    raw.write("loss: 0.3\\\\n")
    raw.write(json.dumps({"time": time.time(), "trial": spec.number, "event": "coffee"}) + "\\\\n")
    line = {"time": time.time(), "trial": spec.number, "event": "scored", "images": [], "seconds": 0}
    raw.write(json.dumps({**line, "metrics": {"gain": float("nan"), "other": float("inf")}}) + "\\\\n")
print("the script was here")
return "finished"
""".replace("\\\\n", "\\n")
    study = stepping.study(place, "nonsense", trials=2, extra=nonsense)
    done = place.run("study", "run", study)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    trials = place.json("study", "show", "nonsense")["trials"]
    assert [trial["state"] for trial in trials] == ["unusable", "unusable"]
    assert "gain" in trials[0]["failure"]["message"]
    row = optuna.load_study(study_name="nonsense", storage=place.run("db", "url").stdout.strip()).trials[0]
    assert "events.jsonl:" in row.user_attrs["message"]
    assert "1 more line" in row.user_attrs["message"]
    console = place.runs("nonsense") / "trial-0000" / "attempt-1" / "console.log"
    assert "the script was here" in console.read_text(encoding="utf-8")


def test_a_script_that_fails_names_the_file_in_which_its_words_stand(place: places.Place) -> None:
    study = stepping.study(place, "broken", attempts=1, extra='raise ValueError("the cat is gone")')
    done = place.run("study", "run", study)
    assert done.returncode == 0, done.stderr
    assert states(place, "broken") == ["crashed"]
    row = optuna.load_study(study_name="broken", storage=place.run("db", "url").stdout.strip()).trials[0]
    named = pathlib.Path(row.user_attrs["message"].split("see ")[-1].strip())
    assert named.parent.name == "attempt-1"
    assert "the cat is gone" in named.read_text(encoding="utf-8")


def test_a_trial_that_a_script_refuses_holds_up_no_worker_for_ever(place: places.Place) -> None:
    """A script that leaves with 2, as argparse does: the worker stops and says so; at last the trial is given up."""
    study = stepping.study(place, "refused", attempts=2, extra="sys.exit(2)")
    done = place.run("study", "run", study)
    assert done.returncode == 2
    assert "refused the job" in done.stderr
    assert states(place, "refused") == ["interrupted"]
    assert place.run("study", "run", study).returncode == 0
    assert states(place, "refused") == ["crashed"]


def test_a_study_that_is_deleted_while_it_trains_ends_its_worker_with_a_clear_word(
    place: places.Place, started: list[subprocess.Popen[str]]
) -> None:
    study = stepping.study(place, "doomed", steps=2000, seconds=0.5)
    process = place.start("study", "run", study, TUNEGUARD_LEASE_SECONDS="3")
    started.append(process)
    wait_for(lambda: "step" in names(place, "doomed"), "the training")
    url = place.run("db", "url").stdout.strip()
    while "doomed" in optuna.get_all_study_names(url):  # Optuna gives up in silence when a trial is written meanwhile
        optuna.delete_study(study_name="doomed", storage=url)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "deleted" in said
    assert "Traceback" not in said
    assert names(place, "doomed")[-1] == "job-finished"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("pages", [pytest.param(0, id="the job"), pytest.param(1, id="the trainer's last words")])
def test_a_disk_that_has_no_room_is_one_clear_error_and_the_trial_waits(place: places.Place, pages: int) -> None:
    """Full before the job file is written, and right after."""
    disk = place.home / "runs"
    disk.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "filler").write_bytes(bytes(4096 * (16 - pages)))
        name = f"no-room-{pages}"
        done = place.run("study", "run", stepping.study(place, name))
        assert done.returncode == 2
        assert "No space left on device" in done.stderr
        assert "make room there" in done.stderr
        assert "Traceback" not in done.stderr
        assert states(place, name) == ["interrupted"]
        assert not list(disk.rglob(".job*"))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
