"""Optuna's pruners, for any number of objectives: a trial that falls behind others at a milestone is ended.

A pruner reads a study of one objective, and notes with its trials how far they came. So it decides in a mirror: a study
in memory with the same trials under the same numbers, their scores at milestones, and the primary objective
alone. What it notes there goes back to the real trial, where every other worker's pruner reads it.
"""

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from constraints.proving import sample
from optimizer import attributes, errors
from optimizer.forecast import situation as situations
from optimizer.study import resolved as studies
from trainers.data import counters

#: one in so many trials goes on from each rung of `asha` and `hyperband`
REDUCTION = 3
#: `median` ends nothing before so many trials were trained to their end, and compares with no fewer
LEAST_TRIALS = 3
#: `wilcoxon` ends a trial that is worse with less doubt than this, after so many milestones; it looks again at each
DOUBT, LEAST_MILESTONES = 0.05, 2

#: a trial's scores at a milestone, prompt by prompt, as a note of Optuna's row
_BY_PROMPT = "scores_at:"


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a trial ends here, and what the pruner notes with it for whoever decides next."""

    ends: bool
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def decide(
    pruner: optuna.pruners.BasePruner, study: studies.Study, trials: Sequence[optuna.trial.FrozenTrial], number: int
) -> Decision:
    """Ask a study's pruner whether a running trial goes on.

    Args:
        trials: all of the study, in the order of their numbers.
    """
    # a repeat is trained to learn how scores spread; ending those that fall behind would make the spread a lie
    if attributes.repeat_of(trials[number].user_attrs):
        return Decision(ends=False)
    mirror = mirrored(trials, study)
    before = mirror.get_trials(deepcopy=False)[number]
    with warnings.catch_warnings():
        # that trials differ in the milestones they have, which they may: budgets differ
        warnings.simplefilter("ignore", UserWarning)
        ends = pruner.prune(mirror, before)
    after = mirror.get_trials(deepcopy=False)[number].system_attrs
    fresh = after.keys() - before.system_attrs.keys()
    return Decision(ends, {f"{study.search.pruner}:{key}": after[key] for key in fresh})


def noted(study: studies.Study, milestone: int, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is noted of a milestone beside the score itself: the scores of its prompts, where each is a number."""
    by_prompt = metrics.get(f"{study.primary}_by_prompt")
    if isinstance(by_prompt, Sequence) and all(map(is_finite, by_prompt)):
        return {f"{_BY_PROMPT}{milestone}": list(by_prompt)}
    return {}


def of(study: studies.Study, situation: situations.Situation) -> optuna.pruners.BasePruner | None:
    """The study's pruner. Only Hyperband needs the longest trial, which takes a look at the whole space.

    Raises:
        errors.BadInput: see `make`.
    """
    return make(study, most_samples(study, situation) if study.search.pruner == "hyperband" else None)


def make(study: studies.Study, most_samples: int | None) -> optuna.pruners.BasePruner | None:
    """The Optuna pruner that a study names. Its resource is samples seen, from the first milestone on.

    Args:
        most_samples: of the longest trial; None where that is not known.

    Raises:
        errors.BadInput: Hyperband, without a longest trial.
    """
    milestones = study.milestones
    if study.search.pruner == "none" or milestones is None:
        return None
    first = milestones.every_samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match study.search.pruner:
            case "hyperband":
                if most_samples is None:
                    # Optuna would guess it from the trials so far, and workers that guess otherwise compare otherwise
                    raise errors.BadInput(
                        "search.pruner: hyperband needs to know how many samples the longest trial sees, which cannot "
                        f"be counted here; give {study.trainer} max_train_steps and train_batch_size, or use asha"
                    )
                return optuna.pruners.HyperbandPruner(first, max(most_samples, first), REDUCTION)
            case "asha":
                return optuna.pruners.SuccessiveHalvingPruner(first, REDUCTION)
            case "median":
                return optuna.pruners.MedianPruner(n_startup_trials=LEAST_TRIALS, n_min_trials=LEAST_TRIALS)
            case "wilcoxon":
                least = LEAST_MILESTONES * milestones.instances
                return optuna.pruners.WilcoxonPruner(p_threshold=DOUBT, n_startup_steps=least)


def mirrored(trials: Sequence[optuna.trial.FrozenTrial], study: studies.Study) -> optuna.Study:
    """A study in memory of the primary objective alone, with the scores of these trials under their numbers.

    Args:
        trials: all of the study, in the order of their numbers.
    """
    primary = list(study.objectives).index(study.primary)
    # Hyperband chooses a trial's bracket by the study's name and the trial's number
    mirror = optuna.create_study(study_name=study.name, direction=study.objectives[study.primary])
    for trial in trials:
        mirror.add_trial(_mirrored(trial, primary, study.search.pruner))
    return mirror


def _mirrored(trial: optuna.trial.FrozenTrial, primary: int, pruner: str) -> optuna.trial.FrozenTrial:
    """What a pruner may know of a trial; one without scores is there for its number alone."""
    if not trial.intermediate_values:
        return _NOBODY
    own = f"{pruner}:"
    return optuna.trial.create_trial(
        state=trial.state,
        values=[trial.values[primary]] if trial.state is TrialState.COMPLETE else None,
        intermediate_values=_by_prompt(trial) if pruner == "wilcoxon" else trial.intermediate_values,
        system_attrs={key.removeprefix(own): note for key, note in trial.system_attrs.items() if key.startswith(own)},
    )


_NOBODY = optuna.trial.create_trial(state=TrialState.FAIL)


def _by_prompt(trial: optuna.trial.FrozenTrial) -> dict[int, float]:
    """Scores by instance: each prompt at each milestone is one, the same one in every trial."""
    scores: dict[int, float] = {}
    for key, values in trial.system_attrs.items():
        if key.startswith(_BY_PROMPT):
            milestone = int(key.removeprefix(_BY_PROMPT))
            scores |= {milestone * len(values) + at: value for at, value in enumerate(values)}
    return scores


def most_samples(study: studies.Study, situation: situations.Situation) -> int | None:
    """Samples that the longest trial of a study's space sees; None where that cannot be worked out."""
    counted = _counted(study, situation)
    if counted.total_steps is None or counted.effective_batch is None:
        return None
    seen = np.asarray(counted.total_steps * counted.effective_batch)
    finite = seen[np.isfinite(seen)]
    return int(finite.max()) if finite.size else None


def largest_batch(study: studies.Study, situation: situations.Situation) -> int | None:
    """Samples of a study's largest optimizer step; None where that cannot be known."""
    batch = _counted(study, situation).effective_batch
    return None if batch is None else int(np.nanmax(batch))


def _counted(study: studies.Study, situation: situations.Situation) -> counters.Counted:
    """Steps of points all over a study's space."""
    return situation.counter.count({**study.fixed, **sample.draw(study.space, study.fixed).columns})


def describe(study: studies.Study, most_samples: int | None) -> str | None:
    """What the study's pruner will do, in a sentence; None where it has none."""
    milestones, name = study.milestones, study.search.pruner
    if milestones is None or name == "none":
        return None
    first, by = milestones.every_samples, study.primary
    if name == "median":
        return (
            f"median: a trial ends where its best {by} so far is worse than the median of the others at that "
            f"milestone, once {LEAST_TRIALS} trials were trained to their end"
        )
    if name == "wilcoxon":
        return (
            f"wilcoxon: a trial ends where its {by}, prompt by prompt, is worse than the best trial's "
            f"(p < {DOUBT:g}), from the {LEAST_MILESTONES}nd milestone on"
        )
    rungs = [first * REDUCTION**rung for rung in range(64) if first * REDUCTION**rung < (most_samples or first + 1)]
    shown = ", ".join(map(str, rungs)) + ("" if most_samples else ", ...")
    best = f"unless its {by} is in the best third of those that came there"
    if name == "asha":
        return f"asha: a trial ends after {shown} samples {best}"
    return f"hyperband: a trial ends after {shown} samples {best}; a part of the trials is spared the first of these"


def is_finite(value: Any) -> bool:
    """Whether a score is a number that can be compared."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
