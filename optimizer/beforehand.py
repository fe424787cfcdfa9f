"""What a database that is running knows of a study before the study runs."""

import dataclasses
from collections.abc import Mapping, Sequence

from constraints.rules import loading
from optimizer import opening, remembered
from optimizer import settings as settings_module
from optimizer.forecast import estimates
from optimizer.rules import book as rulebook
from optimizer.study import resolved as study_module
from optimizer.trials import beginning
from storage import errors as storage_errors
from storage import rule_versions
from storage import studies as stored_studies
from storage.server import embedded


@dataclasses.dataclass(frozen=True)
class Before:
    """What a database that is running knows of a study before it runs.

    `rule_sets` are the newest texts by name; `taken` says why the study's name cannot be used.
    """

    measured: Sequence[estimates.Measured] = ()
    rule_sets: Mapping[str, loading.RuleText] = dataclasses.field(default_factory=dict)
    taken: str | None = None


def before(settings: settings_module.Settings, study: study_module.Study) -> Before:
    """What is known of a study, if its database is there; none is started to know."""
    if settings.database_url is None and not embedded.status(settings.home).running:
        return Before()
    try:
        opened = opening.services(settings)
        sets = {version.set_name for version in rule_versions.listed(opened.database)}
        texts = {name: rulebook.newest_text(opened.database, name) for name in sets}
        try:
            existing = stored_studies.get(opened.database, study.name)
            existing.require_optuna()
        except storage_errors.NotFound:
            return Before(rule_sets=texts)
        taken = beginning.taken(existing, study)
        return Before(() if taken else remembered.measured(opened.database, study), texts, taken)
    except storage_errors.StorageError:
        return Before()
