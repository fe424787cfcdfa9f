"""From everything that is remembered of a study to its report.html."""

import datetime
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.artifacts import exceptions as artifact_exceptions

from constraints.judging import kinds
from optimizer import opening, remembered
from optimizer.designs import judgement
from optimizer.forecast import situation as situations
from optimizer.report import curves, grid, html
from optimizer.report import detail as details
from optimizer.report import overview as overviews
from optimizer.report import records as report_records
from optimizer.results import ledger, pictures, reading, records, remarks, repeats
from optimizer.rules import book as rulebook
from optimizer.study import resolved as studies
from optimizer.study import space
from storage import refusals, rule_versions
from trainers.data import image_files

#: refused points that are looked at one by one for the ledger; beyond, their mean is charged
_LOOKED_AT = 10_000
#: training images that a report shows
_TRAINING_IMAGES = 16


def write(services: opening.Services, study: studies.Study, path: pathlib.Path) -> None:
    """Write a study's report.

    Raises:
        errors.BadInput: it cannot be written there.
    """
    html.write(gather(services, study), path)


def gather(services: opening.Services, study: studies.Study) -> report_records.ReportData:
    """Everything that the report shows."""
    stored = reading.row_of(services.database, study)
    trials = reading.trial_records(services.database, study)
    frozen = reading.trials(services.database, study)
    best = repeats.best_trial(trials, study.objectives)
    drawn = grid.ranked(
        [record for record in trials if record.images], study.objectives, None if best is None else best.number
    )
    versions = rulebook.in_force(services.database, study, stored.facts.rule_sets or ())
    return report_records.ReportData(
        name=study.name,
        made_at=datetime.datetime.now(datetime.UTC),
        objectives=study.objectives,
        trials=trials,
        distributions={trial.number: trial.distributions for trial in frozen},
        pictures={record.number: _pictures(services, record.images) for record in drawn[: grid.MOST_TRIALS]},
        unread_pictures=max(0, len(drawn) - grid.MOST_TRIALS),
        best=None if best is None else best.number,
        baseline=_baseline(services, stored.facts.baseline),
        refused_points=refusals.total(services.database, stored.id),
        refusing_rules=_refusing_rules(services, study, stored.id, versions),
        ledger=balance(services, study, trials),
        rule_texts=[report_records.RulesInForce(f"{v.set_name}@{v.number}", v.text) for v in versions],
        study_document=study.source,
        environment=stored.facts.environment or {},
        primary=study.primary,
        curves=_curves(services, stored.folder, trials),
        training_images=_training_images(study),
        training_count=remembered.images(stored),
    )


def overview(services: opening.Services, study: studies.Study) -> overviews.Overview:
    """What `study show` shows."""
    stored = reading.row_of(services.database, study)
    trials = reading.trial_records(services.database, study)
    return overviews.Overview(
        name=study.name,
        objectives=study.objectives,
        parameters=list(study.space),
        trials=trials,
        refused_points=refusals.total(services.database, stored.id),
        refusals=refusals.count_by_rule(services.database, stored.id),
        running=reading.running(services.database, stored.id, trials),
        wishes=reading.asked_of(services.database, stored.id),
    )


def detail(services: opening.Services, study: studies.Study, record: records.TrialRecord) -> str:
    """Everything about one trial, for a terminal."""
    stored, kept = reading.row_of(services.database, study), beside(services, study, record.number)
    return details.render(record, kept, study.fixed, services.settings.run_directory(stored.folder, record.number))


def beside(services: opening.Services, study: studies.Study, number: int) -> details.Beside:
    """What is kept of a trial beside its record."""
    stored = reading.row_of(services.database, study)
    return details.Beside(
        judgements=reading.judgements_of(services.database, stored.id, number),
        signals=reading.attempts(services.database, stored.id, number),
        wishes=[wish for wish in reading.asked_of(services.database, stored.id) if wish.trial == number],
    )


def balance(services: opening.Services, study: studies.Study, trials: Sequence[records.TrialRecord]) -> ledger.Ledger:
    """What was spent and what refusals and early stops have saved."""
    stored = reading.row_of(services.database, study)
    known_here = remembered.stored_situation(services.database, study)
    trained = [
        _spent(known_here, studies.complete(study, record.params), record.seconds, record.steps, record.early_stop)
        for record in trials
        if record.state in records.TRAINED and record.steps and record.seconds
    ]
    total = refusals.total(services.database, stored.id)
    by_rule = refusals.count_by_rule(services.database, stored.id)
    doubts = [remark.text for remark in remarks.of(trials, total, by_rule)]
    if not trained or known_here.estimator is None:
        return ledger.balance(trained, total, [], "no trial has finished yet, so nothing can be estimated", doubts)
    refused = [kept.refusal.params for kept in refusals.recent(services.database, stored.id, limit=_LOOKED_AT)]
    basis = known_here.estimator.quality.sentence()
    return ledger.balance(trained, total, _seconds(known_here, study, refused), basis, doubts)


def _spent(
    known_here: situations.Situation,
    params: Mapping[str, Any],
    seconds: float,
    steps: int,
    early_stop: records.EarlyStop | None,
) -> ledger.Spent:
    """What a trial took, and what it did not need of its training since it ended early.

    How long it was meant to be is what its trainer said, where that is known, else what is counted.
    """
    told = None if early_stop is None else early_stop.total_steps
    planned = told or known_here.facts(params).get("total_steps")
    if planned is None or planned <= steps:
        return ledger.Spent(seconds)
    estimator, left = known_here.estimator, int(planned) - steps
    return ledger.Spent(seconds, 0.0 if estimator is None else float(estimator.train_seconds(params, left)), left)


def _seconds(
    known_here: situations.Situation, study: studies.Study, points: Sequence[Mapping[str, Any]]
) -> list[float]:
    """What trials of these points would have taken, NaN where that cannot be known."""
    columns = space.columns(points, study.space)
    minutes = known_here.facts({**study.fixed, **columns}).get("estimate.minutes", np.nan)
    return [60 * float(each) for each in np.broadcast_to(minutes, len(points))]


def _curves(services: opening.Services, folder: str, trials: Sequence[records.TrialRecord]) -> dict[int, curves.Curve]:
    """What the newest trials told while they trained, as far as their files lie here."""
    begun = [record for record in trials if record.attempts][-curves.MOST_TRIALS :]
    found = {record.number: curves.read(services.settings.run_directory(folder, record.number)) for record in begun}
    return {number: curve for number, curve in found.items() if curve is not None}


def _training_images(study: studies.Study) -> list[report_records.LearntImage]:
    """The first training images; none where the dataset does not lie here, or in shards."""
    root = pathlib.Path(study.dataset.path)
    files = (file for file in sorted(root.rglob("*")) if file.suffix.lower() in image_files.SUFFIXES)
    found = itertools.islice((file for file in files if file.is_file()), _TRAINING_IMAGES)
    return [report_records.LearntImage(file.name, file.read_bytes()) for file in found]


def _pictures(services: opening.Services, images: Sequence[Mapping[str, Any]]) -> list[report_records.ShownPicture]:
    return [
        report_records.ShownPicture(
            prompt=drawn.prompt,
            seed=drawn.seed,
            held_out=drawn.held_out,
            clip_score=drawn.clip_score,
            failure=drawn.failure,
            content=_content(services, drawn),
        )
        for drawn in pictures.drawn(images)
    ]


def _content(services: opening.Services, drawn: pictures.PictureRecord) -> bytes | None:
    """A picture's bytes: from the artifacts, which every worker uploads to, else from where it was drawn."""
    try:
        if drawn.artifact is not None:
            with services.artifact_store.open_reader(drawn.artifact) as stored:
                return stored.read()
        return pathlib.Path(drawn.path).read_bytes()
    except (OSError, artifact_exceptions.ArtifactNotFound):
        return None


def _baseline(services: opening.Services, kept: Mapping[str, Any] | None) -> report_records.Baseline | None:
    found = pictures.untrained(kept)
    return None if found is None else report_records.Baseline(found.metrics, _pictures(services, found.images))


def _refusing_rules(
    services: opening.Services, study: studies.Study, study_id: str, versions: Sequence[rule_versions.RuleVersion]
) -> list[report_records.RefusingRule]:
    """Every rule that may refuse, also one that never did, and those of older versions that have."""
    rules = rulebook.load_versions(study, versions).rules
    because = {rule.id: rule.because for rule in rules if rule.kind in kinds.HARD}
    counts = refusals.count_by_rule(services.database, study_id)
    if judgement.UNTRAINABLE in counts:
        because[judgement.UNTRAINABLE] = "the trainer's own: it cannot train such points"
    return [
        report_records.RefusingRule(rule, counts.get(rule, 0), because.get(rule, "no longer in the rules"))
        for rule in {**counts, **because}
    ]
