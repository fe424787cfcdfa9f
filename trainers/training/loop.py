"""The training loop of every recipe: what happens around the steps, whatever it is that learns.

A recipe says what it trains and on what (`Method`). Resuming, broken trainings found early, milestones,
checkpoints, stop files and signals, and what is told of all that are the loop's. A step is an optimizer step.
"""

import dataclasses
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch

from trainers.contract import events, interruption, job, milestones, paths
from trainers.contract.milestones import Milestones
from trainers.lora import steps
from trainers.training import checkpoints, health, learner, signals


@dataclasses.dataclass(frozen=True)
class Milestone:
    """Where in its training a trial is looked at: optimizer steps done, samples they saw, and where in them it stood.

    `milestone` is what the evaluation asks for, in samples; the step that passed it may have seen more.
    """

    step: int
    samples: int
    milestone: int


class Method(Protocol[learner.Batch]):
    """What one recipe trains, in the order in which it is asked."""

    def adapt(self) -> learner.Learner:
        """Put what is to be trained into its model."""

    def epoch(self, number: int) -> Sequence[learner.Batch]:
        """The batches of an epoch, in order. Whatever is random about them follows from the seed and their numbers."""

    def loss(self, batch: learner.Batch) -> torch.Tensor:
        """The loss of a batch: a scalar in float32 with its graph. It must not wait for the device."""

    def look(self, at: Milestone) -> Mapping[str, Any]:
        """What the training is worth so far, as metrics; nothing of the training may change.

        Raises:
            interruption.Interrupted: asked to stop meanwhile.
        """

    def update_norm(self) -> float:
        """The norm of all that was learned; 0 is the model as it was loaded."""

    def save(self) -> None:
        """Write the trained weights and tell `saved`."""


@dataclasses.dataclass(frozen=True)
class Course:
    """One trial's way through the loop: what its job asks for, whom to tell, who may stop it, and how many steps.

    `milestones` are when it is looked at meanwhile, as its trainer reads that in the job's evaluation.
    """

    spec: job.TrialSpec
    job: job.TrainJob
    reporter: events.Reporter
    asked: interruption.Interruption
    plan: steps.StepPlan
    images: int
    milestones: Milestones | None = None

    @property
    def paths(self) -> paths.TrialPaths:
        return paths.TrialPaths(pathlib.Path(self.spec.directory))

    def tell(self, event: str, **fields: Any) -> None:
        self.reporter.tell(event, self.spec.number, **fields)

    def milestone(self, step: int) -> Milestone | None:
        """The milestone that a step has passed, or None."""
        if self.milestones is None:
            return None
        batch = self.plan.effective_batch
        passed = milestones.due(step, batch, self.milestones.every_samples)
        return None if passed is None else Milestone(step, step * batch, passed)

    def is_reported(self, step: int) -> bool:
        return step % self.job.report_every_steps == 0

    def is_kept(self, step: int) -> bool:
        """Whether a checkpoint is due after a step; the last step has one anyway."""
        every = self.job.checkpoint_every_steps
        return every > 0 and step % every == 0 and step < self.plan.total_steps


def run(method: Method[learner.Batch], course: Course) -> str | None:
    """Train and save; returns the trial's outcome where it ended early, else None.

    Raises:
        interruption.Interrupted: asked to stop; a checkpoint is written.
        OSError: the disk is full or failed.
    """
    began, looked = time.monotonic(), 0.0
    plan, asked = course.plan, course.asked
    learns = method.adapt()
    accelerator = learns.accelerator
    watch = health.Health(course.job.thresholds, loss_scaling=accelerator.mixed_precision == "fp16")
    seen = signals.StepSignals(watch, accelerator.device, course.job.report_every_steps)
    state = checkpoints.TrainingState(
        learns.fingerprint, learns.weights, learns.optimizer, learns.schedule, accelerator.scaler, watch
    )
    done = _resume(course, state, accelerator.device)
    _tell_started(course)

    for step, batches in _steps(method, plan, learns.batches_per_step, done):
        # before the next step, not after the last one: a run that is resumed at a milestone looks again and misses none
        passed = course.milestone(step - 1)
        if passed:
            looked += _look(method, course, state, passed)

        loss, norm = learns.step(method.loss, batches)
        seen.add(step, loss, norm)
        last = step == plan.total_steps

        if seen.due(step) or last or course.milestone(step) or asked.requested:
            symptom = seen.look()
            if symptom:
                return _fail(course, symptom)
            if course.is_reported(step) or last or step == 1:
                _tell_step(course, step, seen.now(state), time.monotonic() - began)

        if (course.is_reported(step) or course.milestone(step)) and course.paths.stop.exists():
            return _stopped(course, step)
        if asked.requested or course.is_kept(step):
            _keep(course, state, step)
        asked.check()

    symptom = _check(method, course, learns.weights)
    if symptom:
        return _fail(course, symptom)
    course.tell("trained", steps=plan.total_steps, seconds=time.monotonic() - began - looked)
    _keep(course, state, plan.total_steps)
    method.save()
    asked.check()
    return None


def _steps(
    method: Method[learner.Batch], plan: steps.StepPlan, averaged: int, done: int
) -> Iterator[tuple[int, Sequence[learner.Batch]]]:
    """Steps from `done` + 1 to the last, each with the batches that it averages over."""
    epoch, batches = -1, list[learner.Batch]()
    for step in range(done, plan.total_steps):
        if step // plan.steps_per_epoch != epoch:
            epoch = step // plan.steps_per_epoch
            batches = list(method.epoch(epoch))
        first = step % plan.steps_per_epoch * averaged
        yield step + 1, batches[first : first + averaged]


def _look(method: Method[learner.Batch], course: Course, state: checkpoints.TrainingState, at: Milestone) -> float:
    """Ask what the training is worth at a milestone and tell it; returns the seconds it took: not training's own."""
    began = time.monotonic()
    try:
        metrics = method.look(at)
    except interruption.Interrupted:
        _keep(course, state, at.step)
        raise
    seconds = time.monotonic() - began
    course.tell("evaluated", **dataclasses.asdict(at), metrics=metrics, seconds=seconds)
    return seconds


def _resume(course: Course, state: checkpoints.TrainingState, device: torch.device) -> int:
    """Go back to the trial's checkpoint, if it has one that can be used; returns the steps already done."""
    restored = state.restore(course.paths.checkpoint, device)
    if restored.set_aside is not None:
        course.tell("checkpoint-set-aside", path=str(restored.set_aside), message=restored.why)
    if restored.step:
        course.tell("resumed", step=restored.step)
    return restored.step


def _keep(course: Course, state: checkpoints.TrainingState, step: int) -> None:
    state.save(course.paths.checkpoint, step)
    course.tell("checkpoint", step=step)


def _tell_started(course: Course) -> None:
    plan = course.plan
    course.tell(
        "train-started",
        total_steps=plan.total_steps,
        epochs=plan.epochs,
        images=course.images,
        effective_batch=plan.effective_batch,
        steps_per_epoch=plan.steps_per_epoch,
        warmup_steps=plan.warmup_steps,
    )


def _tell_step(course: Course, step: int, now: Mapping[str, Any], seconds: float) -> None:
    plan = course.plan
    epoch = -(-step // plan.steps_per_epoch)
    course.tell("step", step=step, epoch=epoch, progress=step / plan.total_steps, **now, elapsed_minutes=seconds / 60)


# --- endings ----------------------------------------------------------------------------------------------------------


def _check(
    method: Method[learner.Batch], course: Course, weights: Sequence[torch.nn.Parameter]
) -> health.Symptom | None:
    """Whether what was trained can be used at all."""
    step = course.plan.total_steps
    broken = sum(not bool(torch.isfinite(weight).all()) for weight in weights)
    if broken:
        message = f"{broken} of {len(weights)} LoRA tensors hold NaN or infinite values"
        return health.Symptom("nonfinite-weights", step, message, {"tensors": broken})
    norm = method.update_norm()
    if norm < course.job.thresholds.update_norm:
        message = f"the norm of all updates is {norm:.3g} after {step} steps: nothing was learned"
        return health.Symptom("no-learning", step, message, {"update_norm": norm})
    return None


def _fail(course: Course, symptom: health.Symptom) -> str:
    course.tell("failed", **dataclasses.asdict(symptom), fatal=True)
    return "failed"


def _stopped(course: Course, step: int) -> str:
    course.tell("stopped", rule=job.stop_rule(course.paths.stop), step=step)
    return "stopped"
