"""Draws a trial's pictures, judges them, and tells what they are worth beside the untrained base's."""

import dataclasses
import pathlib

import torch

from trainers import dataset, job, models, orders, paths, sampling
from trainers.scoring import baseline, judges, scores, verdicts


@dataclasses.dataclass(frozen=True)
class Yardstick:
    """What the trials of a job are measured with."""

    base: models.Base
    judge: judges.Judges
    references: scores.References
    baseline: baseline.Baseline


def yardstick(
    order: orders.Order, spec: job.TrialSpec, base: models.Base, facts: dataset.DatasetFacts, device: torch.device
) -> Yardstick:
    """Load the judges and measure the base, which must carry no LoRA; tells `baseline`."""
    judge = order.kept.judge(order.job.evaluation, device, order.cache)
    references = scores.references(judge, facts)
    untrained = baseline.measure(base, judge, order.job, references, order.asked.check)
    order.reporter.tell("baseline", spec.number, metrics=untrained.metrics, images=untrained.images)
    return Yardstick(base, judge, references, untrained)


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
        cosines = scores.score(measure.judge, drawn, measure.references)
        drawn = scores.off_prompt(drawn, cosines, measure.baseline.text, thresholds.off_prompt_margin)
        metrics = scores.metrics(drawn, cosines, measure.baseline.text)
    records = scores.records(drawn, cosines, files)
    order.reporter.tell("scored", spec.number, metrics=metrics, images=records, seconds=seconds["score"])
    for finding in verdicts.findings(metrics, records, cosines, thresholds, last_step):
        order.reporter.tell("failed", spec.number, **dataclasses.asdict(finding), fatal=False)
