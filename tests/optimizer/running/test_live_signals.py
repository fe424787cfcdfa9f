"""What an attempt shows while it runs: the latest of everything, and a curve that never grows beyond its bound."""

import os

import hypothesis
from hypothesis import strategies as st

from optimizer.running import live_signals
from trainers.contract import events

NUMBERS = st.none() | st.floats(-1e6, 1e6)


def told(name: str, time: float = 0.0, **data: object) -> events.Event:
    return events.Event(time, 3, name, data)


def stepped(step: int, time: float, **data: object) -> events.Event:
    known = {"epoch": 0, "progress": 0.5, "loss": 0.1, "loss_ema": 0.1, "grad_norm": 2.0, "grad_norm_median": 2.0}
    return told("step", time, **{**known, "step": step, "learning_rate_now": 1e-4, **data})


@hypothesis.given(given=st.lists(st.tuples(st.integers(1, 50), NUMBERS), max_size=700))
def test_a_curve_is_a_bounded_even_choice_of_the_steps_that_were_told(given: list[tuple[int, float | None]]) -> None:
    curve, steps, losses, step = live_signals.ThinnedCurve(), [], {}, 0
    for distance, loss in given:
        step += distance
        steps.append(step)
        losses[step] = loss
        curve.add(step, {"loss": loss})
    kept = curve.steps
    assert len(kept) <= live_signals.MOST_POINTS
    assert any(kept == steps[:: 2**doublings] for doublings in range(8))
    assert [losses[each] for each in kept] == curve.values["loss"]
    assert len(steps) < live_signals.MOST_POINTS or len(kept) >= live_signals.MOST_POINTS // 2


def test_a_training_that_begins_anew_begins_its_curve_anew() -> None:
    curve = live_signals.ThinnedCurve()
    for step in (1, 20, 40, 1, 20):
        curve.add(step, {"loss": 1.0 / step, "grad_norm": None})
    assert curve.columns() == {"step": [1, 20], "loss": [1.0, 0.05]}


def test_phase_step_and_time_left_follow_the_events() -> None:
    live = live_signals.LiveSignals()
    assert (live.signals().phase, live.signals().step, live.signals().curve) == ("launch", None, {})
    live.take(told("job-started", pid=os.getpid(), device="cpu", warm=False))
    live.take(told("loaded", seconds=1.0))
    assert live.signals().phase == "load"
    live.take(told("train-started", total_steps=100, epochs=1, images=4, effective_batch=1))
    live.take(stepped(1, 10.0))
    assert live.signals().seconds_left is None
    live.take(stepped(11, 15.0, loss=0.25))
    now = live.signals()
    assert (now.phase, now.step, now.total_steps, now.seconds_left) == ("train", 11, 100, 44.5)
    assert now.latest["loss"] == 0.25
    assert now.latest["seconds_a_step"] == 0.5
    assert (now.latest["memory_gb"] or 0) > 0
    live.take(told("evaluated", step=11, samples=44, milestone=40, seconds=0.1, metrics={"clip_score": 0.3, "by": [1]}))
    assert live.signals().latest["clip_score"] == 0.3
    assert "by" not in live.signals().latest
    live.take(told("trained", steps=100, seconds=50.0))
    assert (live.signals().phase, live.signals().seconds_left) == ("sample", None)
    live.take(told("sampled", images=[], seconds=1.0))
    assert live.signals().phase == "score"


def test_a_trainer_that_tells_of_everything_is_heard_in_part() -> None:
    live = live_signals.LiveSignals()
    live.take(stepped(1, 1.0, **{f"layer_{at}": float(at) for at in range(1000)}))
    assert len(live.latest) == live_signals.MOST_SIGNALS
    live.take(stepped(2, 2.0, loss=0.75, pid=10**9))
    assert live.latest["loss"] == 0.75


def test_a_process_that_has_ended_takes_no_memory() -> None:
    live = live_signals.LiveSignals()
    live.take(told("job-started", pid=2**22 + 1, device="cpu", warm=False))
    assert "memory_gb" not in live.signals().latest
