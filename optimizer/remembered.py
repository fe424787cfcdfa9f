"""What a forecast takes from a study itself: how its data set makes steps, what its finished trials took."""

import dataclasses
from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from optimizer import jsonable
from optimizer.forecast import estimates
from optimizer.forecast import situation as situations
from optimizer.results import reading, records
from optimizer.study import resolved as study_module
from storage import attempts as stored_attempts
from storage import database
from storage import studies as stored_studies
from trainers.data import counters, showings
from trainers.lora import architecture


def step_counter(study: study_module.Study, shown: showings.Showings | None) -> counters.StepCounter:
    """How the steps of a study's trials are counted over what an epoch of its data set shows."""
    base = architecture.read(study.base)
    return counters.StepCounter(study.declared.batches, shown, None if base is None else base.resolution)


def situation(study: study_module.Study, shown: showings.Showings | None) -> situations.Situation:
    """What is known before a point is drawn, with estimates that no trial has corrected yet; asks for GPUs."""
    gpu = situations.gpus()
    return situations.Situation(gpu, step_counter(study, shown), estimates.of(study, on_gpu=gpu.count > 0))


def stored_situation(source: database.Database, study: study_module.Study) -> situations.Situation:
    """The same for a stored study, with estimates as good as its trials make them; its data set need not be there."""
    before = situation(study, _shown(reading.row_of(source, study)))
    assert before.estimator is not None
    return dataclasses.replace(before, estimator=before.estimator.calibrated(measured(source, study)))


def images(stored: stored_studies.StudyRow) -> int:
    """Images of a stored study's data set; 0 where that is not known."""
    shown = _shown(stored)
    return 0 if shown is None else shown.images


def _shown(stored: stored_studies.StudyRow) -> showings.Showings | None:
    shown = stored.facts.shown
    return None if shown is None else jsonable.record(showings.Showings, shown)


def measured(source: database.Database, study: study_module.Study) -> list[estimates.Measured]:
    """What the latest finished trials of a stored study took."""
    stored = reading.row_of(source, study)
    newest = reading.trials(source, study)[-estimates.NEWEST :]
    since = newest[0].number if newest else 0
    return taken(study, newest, stored_attempts.listed(source, stored.id, since))


def taken(
    study: study_module.Study,
    trials: Sequence[optuna.trial.FrozenTrial],
    attempts: Sequence[stored_attempts.AttemptRow],
) -> list[estimates.Measured]:
    """What a study's finished trials took, of those whose attempts are given, in the order of their numbers."""
    warm = study.launch.isolation == "warm"
    found = []
    for trial, record in zip(trials, records.read(trials, list(study.objectives), (), attempts), strict=True):
        seconds = record.phases.get("train", 0.0)
        if record.state not in records.TRAINED or not record.steps or seconds <= 0:
            continue
        # a warm process is launched once for many trials; the first one's wait is not what the next will take
        other = sum(record.phases.values()) - seconds - (record.phases.get("launch", 0.0) if warm else 0.0)
        # at milestones pictures are drawn, too; a trial that came to its end has its scores
        scored = trial.state is TrialState.COMPLETE or any(name in trial.user_attrs for name in study.objectives)
        drawn = record.phases.get("sample", 0.0) > 0 and scored
        vram = trial.user_attrs.get("vram_gb")
        found.append(
            estimates.Measured(
                params=study_module.complete(study, record.params),
                steps=record.steps,
                train_seconds=seconds,
                other_seconds=other if drawn else None,
                # a trial that never drew its pictures took less than it would have
                vram_gb=float(vram) if vram and drawn else None,
            )
        )
    return found
