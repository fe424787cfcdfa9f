"""What the database holds of studies and their trials, by a study's name or its record."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence

import optuna

from optimizer import errors
from optimizer.results import asked, judged, live, records
from optimizer.study import resolved as study_module
from storage import attempts as stored_attempts
from storage import database as databases
from storage import errors as storage_errors
from storage import judgements, leases, results, rule_versions, signals, wishes
from storage import studies as stored_studies
from storage import trials as stored_trials

logger = logging.getLogger(__name__)


def stored_study(source: databases.Database, name: str) -> tuple[stored_studies.StudyRow, study_module.Study]:
    """A study by its name.

    Raises:
        storage.errors.NotFound: there is none; the message names those there are.
        storage.errors.StudyGone: it was deleted in optuna-dashboard.
    """
    stored = stored_studies.get(source, name)
    stored.require_optuna()
    return stored, parsed(stored)


def parsed(stored: stored_studies.StudyRow) -> study_module.Study:
    """What a row says that the study is, under the name that it has in Optuna by now."""
    study = study_module.parse(stored.document, stored.name)
    # its rule files may lie on another machine, and the database has newer versions of them
    rules = study.rules if stored.facts.rule_sets is None else stored.facts.rule_sets
    return study.model_copy(update={"id": stored.id, "name": stored.name, "rules": rules})


def all_records(
    source: databases.Database,
) -> list[tuple[stored_studies.StudyRow, study_module.Study, list[records.TrialRecord]]]:
    """Every study that can be read, with its trials, oldest first; one deleted in optuna-dashboard has none."""
    found = []
    for stored, study in _readable(source):
        try:
            found.append((stored, study, trial_records(source, study)))
        except storage_errors.StudyGone:
            found.append((dataclasses.replace(stored, optuna_id=None), study, []))
    return found


def row_of(source: databases.Database, study: study_module.Study) -> stored_studies.StudyRow:
    """Our row of a study, whatever it is called by now.

    Raises:
        storage.errors.NotFound: there is none.
    """
    if study.id is None:
        return stored_studies.get(source, study.name)
    with source.transaction() as connection:
        return stored_studies.of_id(connection, study.id)


def followers(source: databases.Database) -> list[study_module.Study]:
    """The studies that go on, and so follow their rule sets."""
    return [study for stored, study in _readable(source) if stored.optuna_id is not None]


def _readable(source: databases.Database) -> Iterator[tuple[stored_studies.StudyRow, study_module.Study]]:
    """Every study, without those whose trainer or metrics are not there any more: they keep nobody from the others."""
    for stored in stored_studies.listed(source):
        try:
            yield stored, parsed(stored)
        except errors.BadInput as error:
            why = str(error).splitlines()[0]
            logger.warning("the study %s cannot be read here and is left out: %s", stored.name, why)


def trials(source: databases.Database, study: study_module.Study) -> Sequence[optuna.trial.FrozenTrial]:
    """All trials of a study as they stand, in the order of their numbers.

    Raises:
        storage.errors.StudyGone: it was deleted in optuna-dashboard.
    """
    optuna_id = row_of(source, study).require_optuna()
    with source.transaction() as connection:
        return stored_trials.Trials(optuna_id).look(connection)


def open_optuna(
    source: databases.Database, storage: optuna.storages.BaseStorage, study: study_module.Study
) -> optuna.Study:
    """Optuna's study. Its sampler never draws: proposals are made in a worker's sketch."""
    name = row_of(source, study).name
    return optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())


def trial_records(source: databases.Database, study: study_module.Study) -> list[records.TrialRecord]:
    """All trials of a study, as records."""
    stored = row_of(source, study)
    found = trials(source, study)
    running = [trial.number for trial in found if trial.state is optuna.trial.TrialState.RUNNING]
    return records.read(
        found,
        list(study.objectives),
        results.listed(source, stored.id),
        stored_attempts.listed(source, stored.id),
        leases.free(source, stored.id, running) if running else (),
    )


def artifacts_of(source: databases.Database, stored: stored_studies.StudyRow) -> list[str]:
    """The ids of the pictures that a study's trials keep as artifacts."""
    found = results.listed(source, stored.id)
    return [str(image["artifact"]) for result in found for image in result.images if "artifact" in image]


def running(source: databases.Database, study_id: str, found: Sequence[records.TrialRecord]) -> list[live.LiveAttempt]:
    """What the running ones of these trials do now, as their workers told it last."""
    numbers = [record.number for record in found if record.state == "running"]
    heard = signals.of_trials(source, study_id, numbers) if numbers else []
    return [live.of(each) for each in heard if each.finished_at is None]


def attempts(source: databases.Database, study_id: str, number: int) -> list[live.LiveAttempt]:
    """What each attempt at a trial told last, oldest first; those that told nothing are left out."""
    return [live.of(each) for each in signals.of_trials(source, study_id, [number]) if each.signals is not None]


def judgements_of(source: databases.Database, study_id: str, number: int) -> list[judged.Judged]:
    """What the rules said of a trial, oldest first; none of one that was begun before judgements were kept."""
    kept = judgements.listed(source, study_id, number)
    ids = {each for one in kept for each in one.judgement.rule_version_ids}
    with source.transaction() as connection:
        versions = rule_versions.of_ids(connection, sorted(ids)) if ids else {}
    return [judged.of(each, versions) for each in kept]


def asked_of(source: databases.Database, study_id: str) -> list[asked.Asked]:
    """All that people have asked of a study and its trials, oldest first."""
    return [asked.of(wish) for wish in wishes.listed(source, study_id)]
