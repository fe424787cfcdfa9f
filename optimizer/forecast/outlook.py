"""What a study's trials will take, before they run: hours of its budget, memory against the GPU's."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from constraints.proving import sample
from constraints.rules import ruleset as rulesets
from optimizer.forecast import situation as situations
from optimizer.study import resolved as studies
from trainers.contract import milestones

#: points of the space that are looked at
_POINTS = 4096


@dataclasses.dataclass(frozen=True)
class MilestonesATrial:
    """Milestones of the mean trial and of the longest."""

    mean: float
    most: float


@dataclasses.dataclass(frozen=True)
class Outlook:
    """Estimates over the points that the rules accept; over all points where they accept none.

    Attributes:
        minutes: of the mean trial; None where it cannot be known.
        hours: of all trials of the budget, one after another.
        accepted_share: share of the space that the rules accept, those included that name estimates.
        vram_gb: peak memory of the median trial, `vram_gb_most` of the largest; None where the base is not known.
        gpu_vram_gb: memory of the smallest GPU here, None without one.
        too_large_share: share of trials that need more than that.
        quality: how good the estimates are, in words.
        milestones: how many a trial has; None where there are none, or nobody knows.
        milestone_pictures: pictures that are drawn at each of them.
    """

    trials: float
    accepted_share: float
    minutes: float | None
    hours: float | None
    workers: int
    vram_gb: float | None
    vram_gb_most: float | None
    gpu_vram_gb: float | None
    too_large_share: float | None
    quality: str
    #: rules that cannot be decided at any point here, and so refuse all of them: a fact is missing
    undecided: tuple[str, ...]
    milestones: MilestonesATrial | None = None
    milestone_pictures: int = 0


def outlook(study: studies.Study, rules: rulesets.RuleSet, situation: situations.Situation) -> Outlook:
    """Look at points spread over a study's space, as a search that knows nothing yet would draw them."""
    drawn = sample.draw(study.space, study.fixed).fewer(_POINTS)
    columns = drawn.columns
    known = situation.facts({**study.fixed, **columns})
    judged = rules.check(columns, known)
    accepted = judged.accepted
    if study.search.refusals == "prune":
        trials = study.search.trials * float(accepted.mean())
    else:
        trials = float(study.search.trials)
    chosen = accepted if accepted.any() else np.ones(drawn.points, dtype=bool)
    minutes = _chosen(known.get("estimate.minutes"), chosen)
    vram = _chosen(known.get("estimate.vram_gb"), chosen)
    gpu = situation.gpu.vram_gb
    mean = None if minutes is None else float(minutes.mean())
    return Outlook(
        trials=trials,
        accepted_share=float(accepted.mean()),
        minutes=mean,
        hours=None if mean is None else mean * trials / 60,
        workers=max(1, situation.gpu.count),
        vram_gb=None if vram is None else float(np.median(vram)),
        vram_gb_most=None if vram is None else float(vram.max()),
        gpu_vram_gb=gpu,
        too_large_share=None if vram is None or gpu is None else float((vram > gpu).mean()),
        quality="" if situation.estimator is None else situation.estimator.quality.sentence(),
        milestones=_milestones(study, known, chosen),
        milestone_pictures=0 if study.milestones is None else study.milestones.pictures,
        undecided=tuple(rule for rule, where in zip(judged.rule_ids, judged.undecided, strict=True) if where.all()),
    )


def _milestones(
    study: studies.Study, known: Mapping[str, Any], chosen: npt.NDArray[np.bool_]
) -> MilestonesATrial | None:
    """Milestones of the chosen trials."""
    planned = study.milestones
    if planned is None or "total_steps" not in known or "effective_batch" not in known:
        return None
    counted = _chosen(milestones.count(known["total_steps"], known["effective_batch"], planned.every_samples), chosen)
    return None if counted is None else MilestonesATrial(float(counted.mean()), float(counted.max()))


def _chosen(column: Any, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64] | None:
    """A fact at the chosen points, those left out where it is not known; None where it is known at none."""
    if column is None:
        return None
    values = np.broadcast_to(np.asarray(column, dtype=float), chosen.shape)[chosen]
    finite: npt.NDArray[np.float64] = values[np.isfinite(values)]
    return finite if len(finite) else None
