"""The live table and the log of a run, told by events as a trainer tells them."""

import io
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import rich.console

from constraints.judging import verdict as verdicts
from optimizer import attributes
from optimizer.results import records
from optimizer.running import live_signals, progress
from optimizer.trials import conclusion as conclusions
from tests.optimizer import recorded, searching
from trainers.contract import events


def shown(
    *known: records.TrialRecord,
    found: Sequence[records.TrialRecord] = (),
    width: int = 80,
    height: int = 24,
    refusals: str = "resample",
    budget: int = 30,
) -> tuple[progress.Progress, io.StringIO]:
    """Progress over the trials that are known and those that are found later, and what it writes; not on a terminal."""
    study = searching.study(searching.LORA, refusals=refusals)
    written = io.StringIO()
    console = rich.console.Console(file=written, width=width, height=height)
    return progress.Progress(study, budget, lambda: [*known, *found], console=console), written


def event(name: str, at: float = 0.0, **data: Any) -> events.Event:
    return events.Event(at, None, name, data)


def step(number: int, at: float) -> events.Event:
    return event("step", at, step=number, epoch=0, progress=0.0, loss=0.25, loss_ema=0.3, grad_norm=1.0)


def train(told: progress.Progress, trial: int, steps: Mapping[int, float], total: int = 40) -> None:
    told.started(trial, {"learning_rate": 1e-4 * (trial + 1), "network_dim": 8}, taken_up=False)
    told.event(trial, event("train-started", total_steps=total, epochs=1, images=4, effective_batch=1))
    for number, at in steps.items():
        told.event(trial, step(number, at))


def end(told: progress.Progress, trial: int, **changes: Any) -> None:
    metrics = {"clip_score": 0.3}
    told.concluded(
        trial,
        conclusions.Conclusion(conclusions.Ending.USABLE, (0.3,), metrics=metrics, seconds={"train": 9.0}, **changes),
    )


def test_a_small_terminal_shows_the_trial_that_runs_and_the_newest_before_it() -> None:
    for width, height in ((60, 12), (80, 24), (200, 10)):
        told, _ = shown(width=width, height=height)
        for trial in range(20):
            train(told, trial, {1: 0.0})
            end(told, trial)
        train(told, 20, {1: 0.0, 11: 20.0})
        lines = told.screen().plain.splitlines()
        assert len(lines) < height
        assert max(map(len, lines)) <= width or "refused" in max(lines, key=len)
        running = [line for line in lines if line.split()[:1] == ["20"]]
        assert len(running) == 1
        assert "step 11 of 40" in running[0]
        assert "58 s" in running[0]
        assert not any(line.split()[:1] == ["0"] for line in lines)


def test_a_trial_that_has_ended_keeps_no_curve() -> None:
    told, _ = shown()
    tracemalloc.start()
    try:
        for trial in range(40):
            train(told, trial, {number: float(number) for number in range(1, 121)}, total=120)
            end(told, trial)
        curves = tracemalloc.Filter(inclusive=True, filename_pattern=live_signals.__file__)
        held = sum(each.size for each in tracemalloc.take_snapshot().filter_traces([curves]).traces)
    finally:
        tracemalloc.stop()
    assert held < 40 * 2_000
    assert len(told.screen().plain.splitlines()) > 10


def test_an_event_goes_to_its_own_trial() -> None:
    told, _ = shown()
    train(told, 3, {5: 1.0})
    told.started(4, {}, taken_up=False)
    told.event(3, step(6, 2.0))
    told.event(77, step(1, 3.0))
    lines = {line.split()[0]: line for line in told.screen().plain.splitlines() if line.split()}
    assert "step 6 of 40" in lines["3"]
    assert "launch" in lines["4"]


def test_a_log_tells_a_step_now_and_then_with_the_time_left() -> None:
    told, written = shown()
    train(told, 0, {number: 1000.0 + number for number in range(1, 36)})
    lines = [line for line in written.getvalue().splitlines() if line.startswith("trial 0: step")]
    assert [line.split(",")[0] for line in lines] == [
        "trial 0: step 1 of 40", "trial 0: step 11 of 40", "trial 0: step 21 of 40", "trial 0: step 31 of 40",
    ]  # fmt: skip
    assert lines[1].endswith("loss 0.25, about 29 s of training left")


def test_the_rule_that_ended_a_trial_is_named_in_table_and_log() -> None:
    told, written = shown()
    train(told, 0, {1: 0.0})
    failure = conclusions.Failure("stopped-by-rule", 7, "the stop rule loud ended the training", "loud")
    told.concluded(0, conclusions.Conclusion(conclusions.Ending.UNUSABLE, failure=failure, steps=7, total_steps=40))
    assert "trial 0 is unusable: stop rule loud at step 7 of 40" in written.getvalue()
    assert "stop rule loud at step 7 of 40" in told.screen().plain


def test_broken_expect_rules_are_named_in_the_log() -> None:
    told, written = shown()
    train(told, 0, {1: 0.0})
    constraints = {attributes.TRAINING: 0.0, "sharp": 0.2}
    told.concluded(
        0, conclusions.Conclusion(conclusions.Ending.UNUSABLE, constraints=constraints, metrics={"clip_score": 0.2})
    )
    assert "trial 0 is unusable: broke sharp, clip_score 0.2" in written.getvalue()


def test_a_rule_that_ends_nearly_everything_is_called_out_once_in_the_log() -> None:
    told, written = shown(*(recorded.stopped(number) for number in range(4)))
    for trial in (4, 5):
        train(told, trial, {1: 0.0})
        end(told, trial)
    assert written.getvalue().count("look at this: the stop rule too-loud ended 4 of 4 trials") == 1
    assert "look at this" in told.screen().plain


def test_refused_rows_count_as_done_where_they_take_the_budget() -> None:
    refused = [recorded.trial(number, "refused", refused_by=("high",)) for number in range(4)]
    trained = [recorded.trial(number) for number in range(4, 12)]
    told, _ = shown(*refused, *trained, refusals="prune", budget=12)
    assert told.screen().plain.startswith("test: 12 of 12 done, 4 of them refused, best clip_score")
    assert "left" not in told.screen().plain.splitlines()[0]
    told, _ = shown(*refused, *trained, refusals="resample", budget=12)
    assert told.screen().plain.startswith("test: 8 of 12 done")


def test_refused_rows_alone_say_nothing_of_the_time_that_is_left() -> None:
    found: list[records.TrialRecord] = []
    told, written = shown(found=found, refusals="prune", budget=12)
    found += [recorded.trial(number, "refused", refused_by=("high",)) for number in range(4)]
    told.started(4, {}, taken_up=False)
    assert told.screen().plain.splitlines()[0] == "test: 4 of 12 done, 4 of them refused"
    found.append(recorded.trial(4))
    end(told, 4)
    assert " left" in told.screen().plain.splitlines()[0]
    assert " left" in written.getvalue().splitlines()[-1]


def test_refusals_that_add_up_to_more_than_the_points_are_explained() -> None:
    told, written = shown()
    both = verdicts.Verdict("refused", ("high", "loud"), 0.0, {"high": 1.0, "loud": 1.0}, ())
    told.refused((both, both))
    assert "2 points refused before training (a point may break several rules): high 2, loud 2" in written.getvalue()
    assert "high 2, loud 2" in told.screen().plain


def test_trials_of_other_workers_are_named() -> None:
    told, _ = shown(recorded.trial(0, "running"), recorded.trial(1, "running"), recorded.trial(2, "interrupted"))
    told.started(1, {}, taken_up=False)
    assert "other workers train trial 0\n" in told.screen().plain
