"""What `study show` says of trials that run, of what was asked of them, and of why each may train."""

import dataclasses
import datetime
import pathlib
import re

import optuna
import pytest

from optimizer.report import detail, overview
from optimizer.results import asked, live, reading
from storage import attempts, judgements, leases, signals, trials, wishes
from storage import database as db
from tests.optimizer import recorded
from tests.storage import holding

WORKER = "a-host-of-some-name-4711-0123abcd"
NOON = datetime.datetime(2026, 5, 4, 12, 0, tzinfo=datetime.UTC)
TELLING = live.LiveAttempt(
    7, 2, WORKER, "cuda:0", "train", 120, 240, 72.5, NOON, 1.4, {"loss": 0.02134, "grad_norm": 1.5, "vram_gb": None}
)
LOADING = live.LiveAttempt(12, 1, WORKER, "cuda:1", "load", told_at=NOON, seconds_ago=0.3)
SILENT = live.LiveAttempt(13, 1, WORKER, "cuda:2")
STOP = asked.Asked(7, "stop", {}, "ada", "the loss is flat", NOON, None, None, None, "", None)
PAUSE = asked.Asked(None, "pause", {}, "bob", "", NOON, WORKER, NOON, "done", "no trial runs", NOON)


def going_on(width: int | None, *running: live.LiveAttempt, wished: tuple[asked.Asked, ...] = ()) -> str:
    found = [recorded.trial(0), recorded.trial(7, "running", seconds=None)]
    shown = overview.Overview(
        "mine", {"clip_score": "maximize"}, ("learning_rate",), found, running=running, wishes=wished
    )
    return shown.render(found, width)


@pytest.mark.parametrize("width", [40, 60, 80, 200, None])
def test_a_running_trial_is_one_line_that_fits_at_every_width(width: int | None) -> None:
    text = going_on(width, TELLING, LOADING, SILENT)
    section = text.split("running now:\n")[1].split("\n\n")[0].splitlines()
    assert width is None or max(map(len, section)) <= width
    assert len(section) == 4
    head, telling, loading, silent = section
    assert head.split()[:3] == ["trial", "phase", "step"]
    assert telling.split()[:5] == ["7", "train", "120", "of", "240"]
    assert "1 s ago" in telling
    assert loading.split()[:3] == ["12", "load", "-"]
    assert silent.split()[:3] == ["13", "-", "-"]


def test_a_wide_terminal_names_loss_time_left_and_worker() -> None:
    section = going_on(200, TELLING).split("running now:\n")[1].splitlines()
    assert section[0].split() == ["trial", "phase", "step", "loss", "left", "heard", "worker", "device"]
    assert section[1].split() == [
        "7",
        "train",
        "120",
        "of",
        "240",
        "0.0213",
        "72",
        "s",
        "1",
        "s",
        "ago",
        WORKER,
        "cuda:0",
    ]


def test_where_nothing_runs_and_nothing_was_asked_nothing_is_said_of_it() -> None:
    assert "running now" not in going_on(80)
    assert "asked" not in going_on(80)


def test_open_wishes_and_the_last_one_on_the_study_are_shown() -> None:
    answered = dataclasses.replace(STOP, trial=0, answer="overtaken", said="the trial had ended", answered_at=NOON)
    earlier = dataclasses.replace(PAUSE, asks="resume")
    text = going_on(None, wished=(earlier, answered, STOP, PAUSE))
    assert "asked: ada asks to stop trial 7: the loss is flat; not heard yet" in text
    assert "asked: bob asks to pause the study; done: no trial runs" in text
    assert text.count("asked: ") == 2


@pytest.fixture
def study(database: db.Database) -> str:
    """A study with a trial that a worker trains, judged by two rule sets, and asked to stop."""
    made = holding.study(database, "kitten")
    versions = tuple(holding.push(database, name, "text").id for name in ("kitten-rules", "safety"))
    why = judgements.Judgement(
        "sampled", versions, weight=0.5, discouraged_by=("slow",), margins={"a": -2.0, "b": -0.25, "c": 0.5, "d": -9.0}
    )
    with database.transaction() as connection:
        running = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        number = trials.add(connection, made.require_optuna(), running)
        lease = judgements.take(connection, made.id, number, WORKER, holding.LONG, why)
    assert lease is not None
    attempt = attempts.start(database, lease, device="cuda:0")
    signals.tell(database, made.id, number, attempt, signals.AttemptSignals("train", 12, 40, 3.5, {"loss": 0.25}))
    wishes.ask(database, made.id, number, "stop", "ada", note="too slow")
    return made.id


def test_a_trial_shows_its_judgement_with_all_rule_versions_its_signals_and_its_wishes(
    database: db.Database, study: str, tmp_path: pathlib.Path
) -> None:
    beside = detail.Beside(
        reading.judgements_of(database, study, 0),
        reading.attempts(database, study, 0),
        reading.asked_of(database, study),
    )
    shown = detail.render(recorded.trial(0, "running", seconds=None), beside, {}, tmp_path)
    assert "discouraged by slow, weight 0.5, under kitten-rules@1, safety@1" in shown
    assert re.search(r"b: 0\.25 inside\n\s+c: 0\.5 outside\n\s+a: 2 inside\n", shown)
    assert "step   12 of 40" in shown
    assert "left   4 s" in shown
    assert "loss   0.25" in shown
    assert "ada asks to stop trial 0: too slow; not heard yet" in shown
    assert "judged by" not in shown


def test_a_trial_of_an_older_study_shows_the_label_that_it_has(tmp_path: pathlib.Path) -> None:
    shown = detail.render(recorded.trial(0), detail.Beside(), {}, tmp_path)
    assert "judged by  safety@1" in shown


def test_only_attempts_that_go_on_are_said_to_run(database: db.Database, study: str) -> None:
    running = [recorded.trial(0, "running", seconds=None)]
    (now,) = reading.running(database, study, running)
    assert (now.trial, now.attempt, now.worker, now.device, now.step) == (0, 1, WORKER, "cuda:0", 12)
    lease = leases.Lease(study, 0, WORKER, 1)
    assert attempts.start(database, lease, device="cuda:1") == 2
    (now,) = reading.running(database, study, running)
    assert (now.attempt, now.device, now.phase, now.seconds_ago) == (2, "cuda:1", None, None)
    assert reading.running(database, study, [recorded.trial(0)]) == []
