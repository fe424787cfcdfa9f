"""What a trial tells, read back from the trackers' own files."""

import importlib.util
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trainers import __main__ as process
from trainers.contract import events, interruption, job, paths
from trainers.lora import sections

Make = Callable[..., job.TrainJob]
Run = Callable[..., job.ExitCode]

pytestmark = [
    # TensorBoard's and W&B's own code
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


class StopAfter(interruption.Interruption):
    """As if SIGTERM came during a given step."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self.idle = False

    @property  # type: ignore[override]
    def requested(self) -> bool:
        self._looks -= 1
        return self._looks < 0


@pytest.fixture
def work() -> Run:
    def run(train_job: job.TrainJob, asked: interruption.Interruption | None = None) -> job.ExitCode:
        file = paths.JobPaths(pathlib.Path(train_job.directory)).job
        train_job.write(file)
        return process.WarmProcess(asked or interruption.Interruption()).work(file)

    return run


def told(train_job: job.TrainJob) -> list[events.Event]:
    return events.read(paths.JobPaths(pathlib.Path(train_job.directory)).events)[0]


def board(train_job: job.TrainJob) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(pathlib.Path(train_job.trials[0].directory) / "tensorboard"))
    return read.Reload()


@pytest.mark.slow
def test_tensorboard_shows_what_the_trial_told(make_job: Make, work: Run) -> None:
    pytest.importorskip("tensorboard")
    train_job = make_job(trackers=("tensorboard",))
    assert work(train_job) == job.ExitCode.DONE
    shown = board(train_job)
    steps = [event.data for event in told(train_job) if event.event == "step"]
    for ours in ("loss", "loss_ema", "grad_norm", "learning_rate_now"):
        read = shown.Scalars(f"train/{ours}")
        assert [point.step for point in read] == [1, 2, 3, 4, 5, 6]
        assert [point.value for point in read] == pytest.approx([step[ours] for step in steps], rel=1e-6)
    (scored,) = [event.data["metrics"] for event in told(train_job) if event.event == "scored"]
    (point,) = shown.Scalars("scores/clip_score")
    assert (point.step, point.value) == (6, pytest.approx(scored["clip_score"]))
    assert shown.Scalars("baseline/clip_score")[0].step == 0
    assert [image.step for image in shown.Images("pictures")] == [6]


@pytest.mark.slow
def test_scores_during_training_are_shown_at_their_steps(make_job: Make, work: Run) -> None:
    pytest.importorskip("tensorboard")
    train_job = make_job(trackers=("tensorboard",))
    few = train_job.evaluation.model_copy(update={"during": sections.During(every_samples=8, prompts=1)})
    train_job = train_job.model_copy(update={"evaluation": few})
    assert work(train_job) == job.ExitCode.DONE
    points = [event.data for event in told(train_job) if event.event == "evaluated"]
    assert points
    shown = board(train_job).Scalars("during/clip_score")
    assert [point.step for point in shown] == [point["step"] for point in points]
    assert [point.value for point in shown] == pytest.approx([point["metrics"]["clip_score"] for point in points])


@pytest.mark.slow
def test_a_resumed_trial_goes_on_with_its_run_and_shows_each_step_once(make_job: Make, work: Run) -> None:
    pytest.importorskip("tensorboard")
    train_job = make_job({"max_train_steps": 9}, trackers=("tensorboard",), checkpoint_every_steps=2)
    assert work(train_job, StopAfter(looks=9)) == job.ExitCode.INTERRUPTED
    assert work(train_job) == job.ExitCode.DONE
    (resumed,) = [event.data["step"] for event in told(train_job) if event.event == "resumed"]
    assert 1 < resumed < 9
    assert [point.step for point in board(train_job).Scalars("train/loss")] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.slow
def test_a_tracker_that_fails_never_takes_the_trial_with_it(
    make_job: Make, work: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    train_job = make_job(trackers=("tensorboard",))
    directory = pathlib.Path(train_job.trials[0].directory)
    directory.mkdir()
    (directory / "tensorboard").write_text("a file where a folder has to be")
    assert work(train_job) == job.ExitCode.DONE
    assert "trainers: tensorboard is left out of this trial: " in capfd.readouterr().err
    assert "scored" in [event.event for event in told(train_job)]


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="it is installed here")
def test_a_tracker_that_is_not_installed_is_an_error_before_any_training(make_job: Make, work: Run) -> None:
    train_job = make_job(trackers=("wandb",))
    assert work(train_job) == job.ExitCode.BAD_INPUT
    refused, last = told(train_job)
    assert refused.data["kind"] == "refused-job"
    assert last.data["message"] == "trackers: wandb is not installed; pip install 'tuneguard[wandb]', or take it out"


def records(run: pathlib.Path) -> Iterator[bytes]:
    """Records of an offline run without what stands between them: 7 bytes before each, which never cross 32 KiB."""
    content, at = run.read_bytes(), 7
    while at + 7 < len(content):
        left = 2**15 - at % 2**15
        length = int.from_bytes(content[at + 4 : at + 6], "little")
        if left >= 7:
            yield content[at + 7 : at + 7 + length]
        at += 7 + length if left >= 7 else left


def test_wandb_keeps_an_offline_run_without_the_key(
    make_job: Make, work: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    key = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", key)
    train_job = make_job(trackers=("wandb",))
    assert work(train_job) == job.ExitCode.DONE
    (run,) = pathlib.Path(train_job.trials[0].directory).glob("wandb/offline-run-*-test-3/*.wandb")
    kept = b""
    deadline = time.monotonic() + 60
    while b"pictures" not in kept and time.monotonic() < deadline:  # W&B's own process writes on after the run's end
        time.sleep(0.1)
        kept = b"".join(records(run))
    for known in (b"test/3", b"train/loss_ema", b"scores/clip_score", b"baseline/clip_score", b"pictures"):
        assert known in kept, known
    written = [file for file in pathlib.Path(train_job.directory).rglob("*") if file.is_file()]
    assert [file.name for file in written if key.encode() in file.read_bytes()] == []
    printed = capfd.readouterr()
    assert key not in printed.out + printed.err
    assert "left out" not in printed.err
