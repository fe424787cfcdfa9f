"""The loop around a method that has nothing to do with pictures: a line through points."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch

from trainers.contract import events, interruption, job, paths
from trainers.files import randomness
from trainers.lora import sections, steps, written
from trainers.training import learner, loop

Make = Callable[..., job.TrainJob]
#: twelve points in batches of 2, two batches a step: 3 steps an epoch, of 4 samples each
PLAN = steps.StepPlan(
    batches_per_epoch=6, steps_per_epoch=3, total_steps=8, epochs=3, warmup_steps=0, effective_batch=4
)
PLACES = torch.linspace(-1, 1, 12)


@dataclasses.dataclass
class Line:
    """y = slope * x + height, learned from y = 2 x + 1. A batch is the numbers (B,) of its points."""

    fails_at: int | None = None

    def adapt(self) -> learner.Learner:
        self.weights = torch.nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.AdamW([self.weights], lr=0.1)
        accelerator = learner.fresh_accelerator("no")
        return learner.Learner(
            weights=[self.weights],
            optimizer=accelerator.prepare_optimizer(optimizer),
            schedule=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
            accelerator=accelerator,
            batches_per_step=2,
            max_grad_norm=1.0,
            fingerprint="a line",
        )

    def epoch(self, number: int) -> Sequence[tuple[int, torch.Tensor]]:
        generator = torch.Generator().manual_seed(randomness.seed_for(7, "order", number))
        batches = torch.randperm(12, generator=generator).split(2)
        return [(6 * number + at, rows) for at, rows in enumerate(batches)]

    def loss(self, batch: tuple[int, torch.Tensor]) -> torch.Tensor:
        number, rows = batch
        noise = torch.randn(2, generator=torch.Generator().manual_seed(number))
        error = self.weights[0] * PLACES[rows] + self.weights[1] - (2 * PLACES[rows] + 1 + 0.1 * noise)
        return error.square().mean() * (float("nan") if number == self.fails_at else 1.0)

    def look(self, at: loop.Milestone) -> Mapping[str, Any]:
        return {"height": self.weights[1].item()}

    def update_norm(self) -> float:
        return float(self.weights.detach().norm())

    def save(self) -> None:
        self.saved = self.weights.detach().clone()


def run(method: Line, train_job: job.TrainJob, asked: interruption.Interruption | None = None) -> list[events.Event]:
    """Takes the method through a job's one trial; returns what was told. Ends where it was asked to, too."""
    file, spec = paths.JobPaths(pathlib.Path(train_job.directory)).events, train_job.trials[0]
    _, offset = events.read(file)
    reporter = events.Reporter(file)
    try:
        milestones = written.milestones(train_job.evaluation)
        asked = asked or interruption.Interruption()
        course = loop.Course(spec, train_job, reporter, asked, PLAN, images=12, milestones=milestones)
        loop.run(method, course)
    except interruption.Interrupted:
        pass
    finally:
        reporter.close()
    return events.read(file, offset)[0]


def told(found: list[events.Event], name: str) -> list[Mapping[str, Any]]:
    return [event.data for event in found if event.event == name]


class AskedAt(interruption.Interruption):
    """As if SIGTERM came while a batch is computed."""

    def __init__(self, method: Line, number: int) -> None:
        super().__init__()
        loss = method.loss

        def watched(batch: tuple[int, torch.Tensor]) -> torch.Tensor:
            self.requested = self.requested or batch[0] == number
            return loss(batch)

        method.loss = watched  # type: ignore[method-assign]


def test_a_method_of_another_kind_is_trained_to_its_end(make_job: Make) -> None:
    method = Line()
    found = run(method, make_job())
    assert [event.event for event in found] == ["train-started", *["step"] * 8, "trained", "checkpoint"]
    assert method.saved[1] > 0.3


@pytest.mark.parametrize("number", range(0, 16, 3))
def test_a_training_that_was_interrupted_anywhere_ends_as_it_would_have(number: int, make_job: Make) -> None:
    whole, broken, resumed = Line(), Line(), Line()
    run(whole, make_job(name="whole"))
    train_job = make_job(name="broken")
    assert told(run(broken, train_job, AskedAt(broken, number)), "trained") == []
    (at,) = told(run(resumed, train_job), "resumed")
    assert at["step"] == _step_of(number)
    assert torch.equal(whole.saved, resumed.saved)


def _step_of(number: int) -> int:
    epoch, batch = divmod(number, 6)
    return epoch * 3 + batch // 2 + 1


def test_milestones_are_the_methods_to_measure_and_the_loops_to_tell(make_job: Make) -> None:
    found = told(run(Line(), make_job(evaluation={"during": sections.During(every_samples=10)})), "evaluated")
    assert [(point["step"], point["samples"], point["milestone"]) for point in found] == [(3, 12, 10), (5, 20, 20)]
    assert 0 < found[0]["metrics"]["height"] < found[1]["metrics"]["height"]


def test_a_loss_that_is_no_number_ends_the_training_at_its_step(make_job: Make) -> None:
    method = Line(fails_at=9)
    found = run(method, make_job())
    (failed,) = told(found, "failed")
    assert (failed["kind"], failed["step"]) == ("nonfinite-loss", 5)
    assert not hasattr(method, "saved")


def test_one_trial_may_hold_several_trainings_each_with_a_folder_of_its_own(make_job: Make) -> None:
    whole = make_job()
    (spec,) = whole.trials
    units = [
        whole.model_copy(update={"trials": (spec.model_copy(update={"directory": f"{spec.directory}/{unit}"}),)})
        for unit in ("first", "second")
    ]
    broken, again = Line(), Line()
    run(Line(), units[0])
    run(broken, units[1], AskedAt(broken, 4))
    (at,) = told(run(again, units[1]), "resumed")
    assert at["step"] == 3
