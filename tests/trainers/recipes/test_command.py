"""The script of docs/howto/own-trainer.md, run as it stands there."""

import pathlib
import re
import threading
import time
from collections.abc import Callable

import pytest

from trainers.contract import errors, events, interruption, job, paths
from trainers.lora import sections
from trainers.recipes import command, processes

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
Make = Callable[..., job.TrainJob]


@pytest.fixture
def script(tmp_path: pathlib.Path) -> pathlib.Path:
    page = (CHECKOUT / "docs" / "howto" / "own-trainer.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    path = tmp_path / "train.py"
    path.write_text(code)
    return path


def run(train_job: job.TrainJob, asked: interruption.Interruption | None = None) -> None:
    files = paths.JobPaths(pathlib.Path(train_job.directory))
    train_job.write(files.job)
    reporter = events.Reporter(files.events)
    try:
        command.CommandRecipe().run(train_job, reporter, asked or interruption.Interruption())
    finally:
        reporter.close()


def told(train_job: job.TrainJob) -> list[events.Event]:
    return events.read(paths.JobPaths(pathlib.Path(train_job.directory)).events)[0]


def make(make_job: Make, script: pathlib.Path, **params: float) -> job.TrainJob:
    drop = ("network_dim", "network_alpha", "train_batch_size", "caption_dropout")
    return make_job({"script": str(script), "max_train_steps": 30, **params}, trainer="command", drop=drop)


@pytest.mark.slow
def test_the_script_of_the_howto_trains_and_is_scored(make_job: Make, script: pathlib.Path) -> None:
    train_job = make(make_job, script, learning_rate=1.0)
    run(train_job)
    last = told(train_job)[-1]
    assert (last.event, last.data["outcome"]) == ("trial-finished", "finished")
    (scored,) = [event.data for event in told(train_job) if event.event == "scored"]
    assert scored["metrics"]["colour_error"] < 1e-3


@pytest.mark.slow
def test_it_tells_scores_on_the_way_where_the_study_asks_for_them(make_job: Make, script: pathlib.Path) -> None:
    """16 images a step, a point every 40 of them, 30 steps."""
    train_job = make(make_job, script, learning_rate=1.0)
    evaluation = train_job.evaluation.model_copy(update={"during": sections.During(every_samples=40)})
    train_job = train_job.model_copy(update={"evaluation": evaluation})
    run(train_job)
    found = [event.data for event in told(train_job) if event.event == "evaluated"]
    assert [point["milestone"] for point in found] == list(range(40, 480, 40))
    errors_told = [point["metrics"]["colour_error"] for point in found]
    assert errors_told == sorted(errors_told, reverse=True)


@pytest.mark.slow
def test_its_failures_are_results(make_job: Make, script: pathlib.Path) -> None:
    train_job = make(make_job, script, learning_rate=1e30)
    run(train_job)
    assert [event.data["kind"] for event in told(train_job) if event.event == "failed"] == ["nonfinite-loss"]
    assert told(train_job)[-1].data["outcome"] == "failed"


@pytest.mark.slow
def test_a_wish_to_stop_is_handed_on_and_the_trial_goes_on_later(make_job: Make, script: pathlib.Path) -> None:
    train_job = make(make_job, script, learning_rate=1e-4, max_train_steps=1_000_000)
    asked = interruption.Interruption()

    def ask() -> None:
        while not any(event.event == "step" for event in told(train_job)):
            time.sleep(0.05)
        asked.requested = True

    thread = threading.Thread(target=ask)
    thread.start()
    with pytest.raises(interruption.Interrupted):
        run(train_job, asked)
    thread.join()
    (saved,) = [event.data["step"] for event in told(train_job) if event.event == "checkpoint"]
    steps = saved + 5
    spec = train_job.trials[0].model_copy(update={"params": {**train_job.trials[0].params, "max_train_steps": steps}})
    again = train_job.model_copy(update={"trials": (spec,)})
    run(again)
    assert [event.data["step"] for event in told(again) if event.event == "resumed"] == [saved]
    assert told(again)[-1].data["outcome"] == "finished"


@pytest.mark.parametrize(("code", "said"), [("raise SystemExit(3)", "ended with code 3"), ("pass", "told no trial")])
def test_a_script_that_breaks_the_contract_is_an_error(
    code: str, said: str, make_job: Make, tmp_path: pathlib.Path
) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(code)
    with pytest.raises(RuntimeError, match=said):
        run(make(make_job, bad))


def test_a_missing_script_is_named(make_job: Make, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.JobError, match="no such file"):
        run(make(make_job, tmp_path / "gone.py"))


def test_a_script_that_is_deaf_to_sigterm_is_killed(
    make_job: Make, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    deaf = tmp_path / "deaf.py"
    deaf.write_text("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(3600)\n")
    asked = interruption.Interruption()
    asked.requested = True
    with pytest.raises(interruption.Interrupted):
        run(make(make_job, deaf), asked)
