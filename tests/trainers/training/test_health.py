import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.contract import job
from trainers.training import health


def healthy(steps: int = 40, **options: bool) -> health.Health:
    watch = health.Health(job.Thresholds(), **options)
    for step in range(1, steps + 1):
        assert watch.observe(step, 1.0, 1.0) is None
    return watch


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_nonfinite_loss_is_found_at_its_step(loss: float) -> None:
    symptom = healthy().observe(41, loss, 1.0)
    assert symptom is not None
    assert (symptom.kind, symptom.step) == ("nonfinite-loss", 41)


def test_a_nonfinite_gradient_is_found_at_its_step() -> None:
    symptom = healthy().observe(41, 1.0, math.nan)
    assert symptom is not None
    assert symptom.kind == "nonfinite-gradient"


def test_loss_scaling_may_overflow_while_it_looks_for_its_scale() -> None:
    watch = healthy(loss_scaling=True)
    symptoms = [watch.observe(step, 1.0, math.inf) for step in range(41, 62)]
    assert symptoms[:-1] == [None] * 20
    assert symptoms[-1] is not None


def test_an_exploding_gradient_is_found_after_several_steps_on_end() -> None:
    watch = healthy()
    symptoms = [watch.observe(step, 1.0, 100.0) for step in range(41, 46)]
    assert symptoms[:-1] == [None] * 4
    assert symptoms[-1] is not None
    assert symptoms[-1].kind == "exploding-gradient"
    assert symptoms[-1].evidence == {"grad_norm": 100.0, "grad_norm_median": 1.0}


def test_single_spikes_and_a_slow_rise_are_no_explosion() -> None:
    watch = healthy()
    for step in range(41, 200):
        assert watch.observe(step, 1.0, 1000.0 if step % 4 == 0 else 1.0 + step / 10) is None


def test_the_first_steps_are_not_judged() -> None:
    watch = health.Health(job.Thresholds())
    for step in range(1, 21):
        assert watch.observe(step, 1.0, 10.0**step) is None


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=2, max_size=60), st.data())
def test_a_restored_watch_goes_on_as_the_first_would(signals: list[tuple[float, float]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(signals)))
    whole, first, second = (health.Health(job.Thresholds(grad_norm_after_step=0)) for _ in range(3))
    expected = [whole.observe(step, *signal) for step, signal in enumerate(signals)]
    actual = [first.observe(step, *signal) for step, signal in enumerate(signals[:cut])]
    second.restore(first.state())
    actual += [second.observe(step, *signal) for step, signal in enumerate(signals[cut:], start=cut)]
    assert actual == expected
    assert second.state() == whole.state()
