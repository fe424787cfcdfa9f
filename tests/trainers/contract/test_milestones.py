"""When pictures are drawn during training."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from trainers.contract import milestones
from trainers.lora import sections
from trainers.pictures import sampling

SIZES = st.integers(1, 64)


@given(steps=st.integers(1, 300), batch=SIZES, every=st.integers(1, 300))
def test_a_milestone_is_due_once_at_the_first_step_that_has_seen_its_samples(
    steps: int, batch: int, every: int
) -> None:
    due = {step: place for step in range(1, steps + 1) if (place := milestones.due(step, batch, every)) is not None}
    for step, place in due.items():
        assert place % every == 0
        assert (step - 1) * batch < place <= step * batch
    reached = list(range(every, steps * batch + 1, every))
    assert set(due.values()) <= set(reached)
    if batch <= every:
        assert list(due.values()) == reached


@given(steps=st.integers(1, 300), batch=SIZES, every=st.integers(1, 300))
def test_milestones_are_counted_as_they_come_and_the_last_step_has_none(steps: int, batch: int, every: int) -> None:
    due = [step for step in range(1, steps) if milestones.due(step, batch, every) is not None]
    assert milestones.count(steps, batch, every) == len(due)


@given(every=st.integers(1, 300), batches=st.tuples(SIZES, SIZES))
def test_trials_with_other_batches_are_looked_at_after_the_same_samples(every: int, batches: tuple[int, int]) -> None:
    one, other = (
        {place for step in range(1, 4000 // batch) if (place := milestones.due(step, batch, every))}
        for batch in batches
    )
    if max(batches) <= every:
        shared = min(max(one, default=0), max(other, default=0))
        assert {place for place in one if place <= shared} == {place for place in other if place <= shared}


def test_before_the_first_step_nothing_is_due() -> None:
    assert all(milestones.due(0, batch, every) is None for batch, every in itertools.product((1, 8), (1, 8)))


@given(
    prompts=st.integers(1, 6),
    held_out=st.integers(0, 2),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True),
    chosen=st.integers(1, 8),
    chosen_seeds=st.integers(1, 4),
)
def test_a_milestone_s_pictures_start_from_the_noise_of_the_end_s(
    prompts: int, held_out: int, seeds: list[int], chosen: int, chosen_seeds: int
) -> None:
    whole = sections.Evaluation(
        prompts=tuple(f"prompt {at}" for at in range(prompts)),
        held_out=tuple(f"unseen {at}" for at in range(held_out)),
        seeds=tuple(seeds),
        during=sections.During(every_samples=8, prompts=chosen, seeds=chosen_seeds),
    )
    fewer = sections.at_milestones(whole)
    assert fewer is not None
    drawn = sampling.shots(fewer)
    assert len(drawn) == min(prompts, chosen) * min(len(seeds), chosen_seeds)
    assert set(drawn) <= set(sampling.shots(whole))


def test_without_a_wish_there_are_no_milestones() -> None:
    assert sections.at_milestones(sections.Evaluation(prompts=("a",))) is None
