"""Draws a trial's pictures, scores them, and tells what they are worth beside the untrained base's."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from trainers.bases import models
from trainers.contract import job, paths
from trainers.data import dataset
from trainers.lora import sections
from trainers.pictures import sampling
from trainers.pictures.scoring import baseline, scorers, scores, symptoms
from trainers.recipes import orders


@dataclasses.dataclass(frozen=True)
class Yardstick:
    """What the trials of a job are measured with.

    `during` is the base's own score at a milestone: the same pictures, drawn in as many sampler steps.
    """

    base: models.Base
    scorer: scorers.Scorers
    references: scores.References
    during: baseline.BaselineScores | None
    baseline: baseline.BaselineScores


def yardstick(
    order: orders.Order, spec: job.TrialSpec, base: models.Base, facts: dataset.DatasetFacts, device: torch.device
) -> Yardstick:
    """Load the scorers and measure the base, which must carry no LoRA; tells `baseline`."""
    scorer = order.kept.scorer(order.job.evaluation, device, order.cache)
    references = scores.references(scorer, facts)
    check = order.asked.check
    untrained = baseline.measure(base, scorer, order.job, order.job.evaluation, references, check)
    fewer = sections.at_milestones(order.job.evaluation)
    during = None if fewer is None else baseline.measure(base, scorer, order.job, fewer, references, check)
    order.reporter.tell("baseline", spec.number, metrics=untrained.metrics, images=untrained.images)
    return Yardstick(base, scorer, references, during, untrained)


def evaluate(
    order: orders.Order, spec: job.TrialSpec, measure: Yardstick, last_step: int, seconds: dict[str, float]
) -> None:
    """Draw with the base as it stands, LoRA included; tells `sampled`, `scored` and what is wrong with the pictures."""
    thresholds = order.job.thresholds
    with orders.Clock(seconds, "sample"):
        drawn = sampling.draw(measure.base, order.job.evaluation, thresholds, order.asked.check)
        files = sampling.save(drawn, paths.TrialPaths(pathlib.Path(spec.directory)))
    images = [str(file) for file in files]
    order.reporter.tell("sampled", spec.number, images=images, seconds=seconds["sample"])
    with orders.Clock(seconds, "score"):
        cosines = scores.score(measure.scorer, drawn, measure.references)
        drawn = scores.off_prompt(drawn, cosines, measure.baseline.text, thresholds.off_prompt_margin)
        metrics = scores.metrics(drawn, cosines, measure.baseline.text)
    records = scores.records(drawn, cosines, files)
    order.reporter.tell("scored", spec.number, metrics=metrics, images=records, seconds=seconds["score"])
    for symptom in symptoms.found(metrics, records, cosines, thresholds, last_step):
        order.reporter.tell("failed", spec.number, **dataclasses.asdict(symptom), fatal=False)


def glance(order: orders.Order, measure: Yardstick, seconds: dict[str, float]) -> Mapping[str, Any]:
    """Draw and score the few pictures of a milestone with the LoRA as it stands; returns their metrics.

    Nothing of the training changes: pictures have generators of their own. The time is taken off the training's.

    Raises:
        interruption.Interrupted: asked to stop meanwhile.
    """
    fewer = sections.at_milestones(order.job.evaluation)
    assert fewer is not None, "there are no milestones without `during`"
    assert measure.during is not None
    with orders.Clock(seconds, "sample", within="train"), _at_rest(measure.base):
        drawn = sampling.draw(measure.base, fewer, order.job.thresholds, order.asked.check)
    with orders.Clock(seconds, "score", within="train"):
        cosines = scores.score(measure.scorer, drawn, measure.references)
        drawn = scores.off_prompt(drawn, cosines, measure.during.text, order.job.thresholds.off_prompt_margin)
        return scores.metrics(drawn, cosines, measure.during.text)


@contextlib.contextmanager
def _at_rest(base: models.Base) -> Iterator[None]:
    """The models as they draw, without dropout; afterwards each trains again if it did before."""
    adapted = (base.unet, *base.text_encoders)
    training = [model.training for model in adapted]
    for model in adapted:
        model.eval()
    try:
        yield
    finally:
        for model, trains in zip(adapted, training, strict=True):
            model.train(trains)
