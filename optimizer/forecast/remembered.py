"""What a forecast takes from a study itself: how its data set makes steps, what its finished trials took."""

from optimizer import opening
from optimizer.forecast import estimates
from optimizer.results import reading
from optimizer.study import resolved as study_module
from storage import runs
from storage import studies as stored_studies
from trainers.data import buckets, counters
from trainers.declared import architecture


def step_counter(study: study_module.Study, shown: buckets.Showings | None) -> counters.StepCounter:
    """How the steps of a study's trials are counted over what an epoch of its data set shows."""
    base = architecture.read(study.base)
    return counters.StepCounter(study.trainer, shown, None if base is None else base.resolution)


def stored_step_counter(stored: stored_studies.Study, study: study_module.Study) -> counters.StepCounter:
    """The same for a stored study; its data set need not be there any more."""
    return step_counter(study, _shown(stored))


def images(stored: stored_studies.Study) -> int:
    """Images of a stored study's data set; 0 where that is not known."""
    shown = _shown(stored)
    return 0 if shown is None else shown.images


def _shown(stored: stored_studies.Study) -> buckets.Showings | None:
    shown = stored.facts.shown
    return None if shown is None else buckets.Showings.of_json(shown)


def measured(services: opening.Services, study: study_module.Study) -> list[estimates.Measured]:
    """What the latest finished trials of a stored study took."""
    stored = reading.row_of(services, study)
    newest = reading.trials(services, study)[-estimates.NEWEST :]
    since = newest[0].number if newest else 0
    return estimates.measured(study, newest, runs.listed(services.database, stored.id, since))
