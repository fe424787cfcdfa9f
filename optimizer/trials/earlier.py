"""What a study learns from earlier ones: its first worker reads them, the study keeps it for those that join."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import sqlalchemy as sa

from constraints.judging import verdict as verdicts
from optimizer import jsonable, opening
from optimizer.results import reading, records
from optimizer.study import resolved as study_module
from optimizer.trials import warm_start
from storage import studies as stored_studies

logger = logging.getLogger(__name__)

#: an earlier study and its trials
Earlier = tuple[study_module.Study, list[records.TrialRecord]]


def studies(services: opening.Services, study: study_module.Study) -> dict[str, Earlier]:
    """The studies of the database that a study learns from, unless it keeps already what they said."""
    names = [name for name in study.search.warm_start if not name.endswith(".csv")]
    with services.database.transaction() as connection:
        existing = stored_studies.find(connection, study.name)
    if existing is not None and existing.facts.warm_start is not None:
        return {}
    found = {name: reading.stored_study(services.database, name)[1] for name in names}
    return {name: (old, reading.trial_records(services.database, old)) for name, old in found.items()}


def trials(
    connection: sa.Connection,
    study: study_module.Study,
    stored: stored_studies.StudyRow,
    judge: Callable[[Mapping[str, Any]], verdicts.Verdict],
    sources: Mapping[str, Earlier],
) -> list[optuna.trial.FrozenTrial]:
    """What the study learns from earlier ones. The first worker reads the sources; the study keeps what they said."""
    if not study.search.warm_start:
        return []
    kept = stored.facts.warm_start
    if kept is None:
        gathered = warm_start.gather(study, judge, sources.__getitem__)
        stored_studies.learn(connection, stored.id, stored_studies.StudyFacts(warm_start=jsonable.of(gathered)))
        for why, count in gathered.left_out.items():
            logger.warning("warm start leaves out %d trials of %s", count, why)
    else:
        gathered = jsonable.record(warm_start.Gathered, kept)
    return warm_start.trials(study, gathered.priors)
