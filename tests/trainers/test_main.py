"""The trainer as a process: exit codes, signals, the event file's last words."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import safetensors.torch
import torch

from tests import forked
from trainers.contract import events, job, paths

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
Make = Callable[..., job.TrainJob]
Start = Callable[..., forked.Process]

pytestmark = pytest.mark.slow


def cold(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """The trainer as its launcher starts it; `start` saves its imports."""
    command = [sys.executable, "-W", "error::UserWarning", "-m", "trainers", *arguments]
    return subprocess.Popen(command, cwd=CHECKOUT, env=ENVIRONMENT, stderr=subprocess.PIPE, **options)


@pytest.fixture
def start() -> Iterator[Callable[..., forked.Process]]:
    """Starts a trainer with these words, one after the other; what is left of the last one ends with the test."""
    started: list[forked.Process] = []

    def begin(*words: str) -> forked.Process:
        for process in started:
            process.close()
        started.append(forked.trainer(words, ENVIRONMENT))
        return started[-1]

    yield begin
    for process in started:
        process.close()


def write(train_job: job.TrainJob) -> paths.JobPaths:
    files = paths.JobPaths(pathlib.Path(train_job.directory))
    train_job.write(files.job)
    return files


def told(files: paths.JobPaths, name: str) -> list[Any]:
    return [event.data for event in events.read(files.events)[0] if event.event == name]


def wait_for(files: paths.JobPaths, name: str) -> None:
    deadline = time.monotonic() + 120
    while not told(files, name):
        assert time.monotonic() < deadline, f"no {name} event"
        time.sleep(0.02)


@pytest.fixture
def server(start: Start) -> forked.Process:
    return start("--serve", "diffusion-lora")


def hand_over(server: forked.Process | subprocess.Popen[bytes], files: paths.JobPaths) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps({"job": str(files.job)}).encode() + b"\n")
    server.stdin.flush()


def test_a_warm_process_serves_good_and_bad_jobs_and_ends_when_its_input_closes(make_job: Make) -> None:
    server = cold("--serve", "diffusion-lora", stdin=subprocess.PIPE)
    good, again = write(make_job(name="good")), write(make_job(name="again"))
    typo = write(make_job({"network_dims": 4, "optimizer_type": "adam"}, name="typo"))
    no_base = write(make_job(name="no-base", base="/nowhere"))
    for files in (good, typo, no_base, again):
        hand_over(server, files)
    wait_for(again, "job-finished")
    output, console = server.communicate(timeout=200)
    assert server.returncode == 0
    assert not output
    codes = [told(files, "job-finished")[0]["exit_code"] for files in (good, typo, no_base, again)]
    assert codes == [0, 2, 2, 0]
    message = told(typo, "job-finished")[0]["message"]
    assert "did you mean network_dim?" in message
    assert "did you mean AdamW?" in message
    assert "no such folder" in told(no_base, "job-finished")[0]["message"]
    assert b"Traceback" not in console
    assert [told(files, "job-started")[0]["warm"] for files in (good, again)] == [True, True]


def test_what_a_job_prints_lies_in_its_folder_beside_its_exit_code_and_sigterm_ends_the_wait_for_the_next(
    make_job: Make, server: forked.Process
) -> None:
    files = [write(make_job(name=name, base="/nowhere")) for name in ("one", "other")]
    for each in files:
        hand_over(server, each)
    wait_for(files[-1], "job-finished")
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=60) == job.ExitCode.INTERRUPTED
    for each in files:
        assert each.exit_code.read_text(encoding="utf-8") == f"{int(job.ExitCode.BAD_INPUT)}\n"
        assert each.console.read_text(encoding="utf-8").count("no such folder") == 1
        assert told(each, "failed")[0]["kind"] == "unusable-input"


def test_a_point_that_contradicts_itself_is_a_failed_trial_and_no_bad_job(make_job: Make, start: Start) -> None:
    files = write(make_job({"lr_scheduler": "polynomial", "learning_rate": 5e-8}))
    process = start(str(files.job))
    process.communicate(timeout=60)
    assert process.returncode == job.ExitCode.DONE
    (failed,) = told(files, "failed")
    assert failed["kind"] == "contradictory-parameters"
    assert "polynomial" in failed["message"]
    assert told(files, "trial-finished")[0]["outcome"] == "failed"


def test_sigterm_in_training_checkpoints_and_the_job_goes_on_later(
    make_job: Make, server: forked.Process, start: Start
) -> None:
    files = write(make_job({"max_train_steps": 400}))
    hand_over(server, files)
    wait_for(files, "step")
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=60) == job.ExitCode.INTERRUPTED
    assert told(files, "trial-finished")[0]["outcome"] == "interrupted"
    assert told(files, "job-finished")[0]["exit_code"] == job.ExitCode.INTERRUPTED
    (saved,) = told(files, "checkpoint")
    second = start(str(files.job))
    wait_for(files, "resumed")
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=60)
    assert second.returncode == job.ExitCode.INTERRUPTED
    assert told(files, "resumed")[0]["step"] == saved["step"]


def test_sigkill_and_then_sigterm_leave_a_job_that_ends_with_the_same_weights(
    make_job: Make, run: Any, start: Start
) -> None:
    """The real signals on real processes; `tests/trainers/recipes` ends runs at many more places."""
    params = {"max_train_steps": 120, "optimizer_type": "Prodigy", "learning_rate": 1.0, "text_encoder_lr": 1.0}
    whole, broken = make_job(params, name="whole"), make_job(params, name="broken", checkpoint_every_steps=7)
    run(whole)
    files = write(broken)
    first = start(str(files.job))
    wait_for(files, "checkpoint")
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    done = told(files, "step")[-1]["step"]
    second = start(str(files.job))
    wait_for(files, "resumed")
    assert told(files, "resumed")[0]["step"] <= done
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=60)
    assert second.returncode == job.ExitCode.INTERRUPTED
    _, console = start(str(files.job)).communicate(timeout=120)
    assert b"Traceback" not in console
    assert len(told(files, "resumed")) == 2
    assert [event["outcome"] for event in told(files, "trial-finished")] == ["interrupted", "finished"]
    weights = [pathlib.Path(each.trials[0].directory) / "lora.safetensors" for each in (whole, broken)]
    one, other = (safetensors.torch.load_file(file) for file in weights)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_job_is_interrupted_when_its_worker_is_gone(make_job: Make, server: forked.Process) -> None:
    """The pipe closes however the worker ends; what goes on training would write beside the one who takes it up."""
    files = write(make_job({"max_train_steps": 4000}))
    hand_over(server, files)
    wait_for(files, "step")
    assert server.stdin is not None
    server.stdin.close()
    assert server.wait(timeout=60) == job.ExitCode.INTERRUPTED
    assert told(files, "trial-finished")[0]["outcome"] == "interrupted"


def test_a_disk_that_takes_no_more_is_the_machines_fault_and_leaves_no_half_file(make_job: Make) -> None:
    files = write(make_job({"network_dim": 64}))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = cold(str(files.job), preexec_fn=limit)
    _, console = process.communicate(timeout=120)
    assert process.returncode == job.ExitCode.MACHINE
    assert told(files, "failed")[0]["kind"] == "machine"
    assert b"free space on the disk" in console
    assert b"Traceback" not in console
    trial = pathlib.Path(files.directory / "trial")
    assert not list(trial.rglob("*.safetensors"))
    assert not list(trial.rglob("*.pt"))


def test_an_unreadable_job_file_is_one_clear_line(tmp_path: pathlib.Path, start: Start) -> None:
    process = start(str(tmp_path / "job.json"))
    _, console = process.communicate(timeout=60)
    assert process.returncode == job.ExitCode.BAD_INPUT
    assert console.decode().count("\n") == 1
    assert "cannot read the job file" in console.decode()
