"""A study in the database: made, its starting points as trials that wait, or gone on with under its name."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import optuna
import sqlalchemy as sa

from optimizer import errors, jsonable, opening, provenance, remembered
from optimizer.designs import judgement
from optimizer.forecast import situation as situations
from optimizer.results import reading
from optimizer.rules import book as rulebook
from optimizer.study import resolved as study_module
from optimizer.trials import earlier, rows
from storage import optuna_studies, rule_versions
from storage import studies as stored_studies
from trainers.declared import declaration

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Begun:
    """A study that a worker has joined.

    Attributes:
        study: as it is worked on, with the id of its row.
        stored: its row.
        book: its rules, stored as versions.
        situation: what is known before any of its trials ended.
        seed: this worker's own.
        taught: what earlier studies taught, as the sampler reads trials.
        environment: versions of what this worker trains with.
    """

    study: study_module.Study
    stored: stored_studies.StudyRow
    book: rulebook.Rulebook
    situation: situations.Situation
    seed: int
    taught: Sequence[optuna.trial.FrozenTrial]
    environment: Mapping[str, str]


def join(services: opening.Services, study: study_module.Study, found: declaration.InspectedDataset) -> Begun:
    """Join a study as a worker, and store it first where it is new: its rules, its points, what its data set shows.

    Whatever is wrong with it, nothing of it is stored.

    Args:
        found: its data set.

    Raises:
        errors.BadInput: its rules are wrong, or a study of its name is another one.
    """
    shown = found.showings
    situation = remembered.situation(study, shown)
    followers, sources = reading.followers(services.database), earlier.studies(services, study)
    environment = provenance.environment(provenance.checkout())
    with services.database.transaction() as connection:
        book = rulebook.push(connection, study, provenance.author(), followers)
        stored = keep_study(connection, study)
        first = stored.facts.environment
        learned = stored_studies.StudyFacts(
            shown=jsonable.of(shown),
            dataset_hash=found.hash,
            rule_sets=book.sets,
            environment=environment if first is None else None,
        )
        stored_studies.learn(connection, stored.id, learned)
        optuna_studies.name_objectives(connection, stored.require_optuna(), list(study.objectives))
        # workers that join must neither draw what another draws nor repeat what was drawn before
        seed = study.search.seed + stored_studies.join(connection, stored.id)
        admission = judgement.Admission(study, book.rules, situation.for_rules(book.rules))
        taught = earlier.trials(connection, study, stored, admission.judge, sources)
    _tell_differences(first or environment, environment)
    return Begun(study.model_copy(update={"id": stored.id}), stored, book, situation, seed, taught, environment)


def _tell_differences(first: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Say where what this worker trains with is not what the study was begun with."""
    for name in sorted(first.keys() | here.keys()):
        was, now = first.get(name, "not there"), here.get(name, "not there")
        if was != now:
            logger.warning("the study was begun with %s %s, here it is %s; results may differ", name, was, now)


def keep_study(connection: sa.Connection, study: study_module.Study) -> stored_studies.StudyRow:
    """Store a study with its starting points, or go on with the one of that name.

    Raises:
        errors.BadInput: a study of that name exists and is another one.
        storage.errors.AlreadyExists: Optuna has one of that name that is none of ours.
    """
    rule_versions.editing(connection)
    existing = stored_studies.find(connection, study.name)
    if existing is None or existing.optuna_id is None:
        made = stored_studies.create(connection, study.name, study.source, study.objectives)
        for point in study.search.start:
            rows.add_waiting(connection, made, point)
        return made
    why = taken(existing, study)
    if why is not None:
        raise errors.BadInput(why)
    if existing.document != study.source:
        stored_studies.set_document(connection, existing.id, study.source)
    return existing


def taken(existing: stored_studies.StudyRow, study: study_module.Study) -> str | None:
    """Why a study cannot go on under the name of one that exists, or None."""
    try:
        changed = study_module.incompatible(study_module.parse(existing.document, study.name), study)
    except errors.BadInput:
        changed = ["document that can no longer be read"]
    if not changed:
        return None
    return (
        f"the study {study.name!r} exists with another {', '.join(changed)}, and its trials would not compare; give "
        "the study file a new name, or delete the old one, its LoRAs included: "
        f"`tuneguard study delete {study.name}` (--keep-files leaves them)"
    )
