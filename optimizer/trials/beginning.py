"""A study in the database: made, its starting points as trials that wait, or gone on with under its name."""

import optuna
import sqlalchemy as sa

from optimizer import errors, opening
from optimizer.study import resolved as study_module
from optimizer.trials import enqueued
from storage import rule_versions
from storage import studies as stored_studies
from storage import trials as stored_trials


def create_study(services: opening.Services, study: study_module.Study) -> stored_studies.Study:
    """Store a study, or go on with the one of that name; see `keep_study`."""
    with services.database.transaction() as connection:
        return keep_study(connection, study)


def keep_study(connection: sa.Connection, study: study_module.Study) -> stored_studies.Study:
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
            waiting = optuna.trial.create_trial(
                state=optuna.trial.TrialState.WAITING, system_attrs={enqueued.GIVEN: dict(point)}
            )
            stored_trials.add(connection, made.require_optuna(), waiting)
        return made
    why = taken(existing, study)
    if why is not None:
        raise errors.BadInput(why)
    if existing.document != study.source:
        stored_studies.set_document(connection, existing.id, study.source)
    return existing


def taken(existing: stored_studies.Study, study: study_module.Study) -> str | None:
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
