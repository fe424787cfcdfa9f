"""The only place that constructs: services and a study to a campaign."""

import dataclasses
import functools
import getpass
import logging
import os
import pathlib
import socket
from collections.abc import Mapping, Sequence

import optuna
import sqlalchemy as sa

from constraints.rules import loading
from constraints.rules import ruleset as rulesets
from optimizer import errors, opening, provenance
from optimizer import settings as settings_module
from optimizer.designs.search import history, pruning, warm_start
from optimizer.designs.search import search as searches
from optimizer.designs.search import sketch as sampler
from optimizer.forecast import estimates, readiness, remembered
from optimizer.forecast import situation as facts
from optimizer.results import reading, records
from optimizer.rules import book as rulebook
from optimizer.running import launch
from optimizer.study import resolved as study_module
from optimizer.trials import campaign as campaigns
from optimizer.trials import enqueued
from optimizer.trials import observer as observers
from storage import errors as storage_errors
from storage import (
    optuna_studies,
    rule_versions,
    workers,
)
from storage import studies as stored_studies
from storage import trials as stored_trials
from storage.server import embedded
from trainers.data import buckets, dataset

logger = logging.getLogger(__name__)


def create_study(services: opening.Services, study: study_module.Study) -> stored_studies.Study:
    """Store a study, or go on with the one of that name; see `_keep_study`."""
    with services.database.transaction() as connection:
        return _keep_study(connection, study)


def _keep_study(connection: sa.Connection, study: study_module.Study) -> stored_studies.Study:
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
    taken = _taken(existing, study)
    if taken is not None:
        raise errors.BadInput(taken)
    if existing.document != study.source:
        stored_studies.set_document(connection, existing.id, study.source)
    return existing


def open_search(
    study: study_module.Study, rules: rulesets.RuleSet, situation: facts.Situation, seed: int
) -> searches.Search:
    """A search that knows of no trial yet; all its chance follows from the seed."""
    search = study.search
    make = functools.partial(
        sampler.make,
        search.sampler,
        objectives=len(study.objectives),
        startup_trials=search.startup_trials,
        conditional=any(domain.when is not None for domain in study.space.values()),
    )
    guided_from = None if search.sampler in sampler.UNGUIDED else search.startup_trials
    sketch = sampler.Sketch(make, list(study.objectives.values()), study.space, study.fixed, seed, guided_from)
    needed = [name for name, domain in study.space.items() if domain.when is None]
    return searches.Search(study, rules, situation, sketch, history.History(search.repeats, needed), seed)


def open_campaign(
    services: opening.Services, study: study_module.Study, device: launch.Device, observer: observers.Observer
) -> campaigns.Campaign:
    """Everything a worker needs to go on with a study.

    Raises:
        errors.BadInput: something that the study names is missing or wrong here.
    """
    found = readiness.demand(study)
    before = situation(study, found)
    stopping = pruning.of(study, before)
    others, sources = reading.followers(services), _earlier_studies(services, study)
    earlier: list[optuna.trial.FrozenTrial] = []

    def begin(book: rulebook.Rulebook, seed: int, known: facts.Situation) -> searches.Search:
        """A search that knows of what earlier studies taught, and of no trial yet."""
        search = open_search(study, book.rules, known.for_rules(book.rules.text), seed)
        search.sketch.learn(earlier)
        return search

    environment = provenance.environment(checkout())
    # whatever is wrong with the study, nothing of it is stored
    with services.database.transaction() as connection:
        book = rulebook.push(connection, study, author(), others)
        stored = _keep_study(connection, study)
        learned = stored_studies.Facts(
            shown=buckets.Showings.of(found.pictures).as_json(),
            dataset_hash=found.hash,
            rule_sets=book.sets,
            environment=environment if stored.facts.environment is None else None,
        )
        stored_studies.learn(connection, stored.id, learned)
        optuna_studies.name_objectives(connection, stored.require_optuna(), list(study.objectives))
        # workers that join must neither draw what another draws nor repeat what was drawn before
        seed = study.search.seed + stored_studies.join(connection, stored.id)
        search = begin(book, seed, before)
        earlier += _earlier_trials(connection, study, stored, search, sources)
        search.sketch.learn(earlier)
    study = study.model_copy(update={"id": stored.id})
    _tell_differences(stored.facts.environment or environment, environment)

    def read() -> Sequence[optuna.trial.FrozenTrial]:
        return made.read_trials()

    def optuna_id() -> int:
        return made.stored.require_optuna()

    made = campaigns.Campaign(
        study=study,
        stored=stored,
        budget=study.search.trials,
        optuna_storage=services.optuna_storage,
        artifact_store=services.artifact_store,
        database=services.database,
        settings=services.settings,
        book=book,
        search=search,
        trials=stored_trials.Trials(stored.require_optuna()),
        situation=before,
        pruning=pruning.Pruning(study, read, services.optuna_storage, optuna_id, stopping),
        observer=observer,
        worker_id=workers.register(services.database, socket.gethostname(), os.getpid(), device.name, environment),
        begin=lambda book, known: begin(book, seed, known),
    )
    return made


def _tell_differences(first: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Say where what this worker trains with is not what the study was begun with."""
    for name in sorted(first.keys() | here.keys()):
        was, now = first.get(name, "not there"), here.get(name, "not there")
        if was != now:
            logger.warning("the study was begun with %s %s, here it is %s; results may differ", name, was, now)


#: an earlier study and its trials
Earlier = tuple[study_module.Study, list[records.TrialRecord]]


def _earlier_studies(services: opening.Services, study: study_module.Study) -> dict[str, Earlier]:
    """The studies of the database that a study learns from, unless it keeps already what they said."""
    names = [name for name in study.search.warm_start if not name.endswith(".csv")]
    with services.database.transaction() as connection:
        existing = stored_studies.find(connection, study.name)
    if existing is not None and existing.facts.warm_start is not None:
        return {}
    found = {name: reading.stored_study(services, name)[1] for name in names}
    return {name: (old, reading.trial_records(services, old)) for name, old in found.items()}


def _earlier_trials(
    connection: sa.Connection,
    study: study_module.Study,
    stored: stored_studies.Study,
    search: searches.Search,
    sources: Mapping[str, Earlier],
) -> list[optuna.trial.FrozenTrial]:
    """What the study learns from earlier ones. The first worker reads the sources; the study keeps what they said."""
    if not study.search.warm_start:
        return []
    kept = stored.facts.warm_start
    if kept is None:
        gathered = warm_start.gather(study, search.judge, sources.__getitem__)
        stored_studies.learn(connection, stored.id, stored_studies.Facts(warm_start=gathered.as_json()))
        for why, count in gathered.left_out.items():
            logger.warning("warm start leaves out %d trials of %s", count, why)
    else:
        gathered = warm_start.of_json(kept)
    return warm_start.trials(study, gathered.priors)


def situation(study: study_module.Study, found: dataset.DatasetFacts) -> facts.Situation:
    """What is known before a point is drawn; asks for GPUs."""
    gpu = facts.gpus()
    return facts.Situation(
        gpu=gpu,
        counter=remembered.step_counter(study, buckets.Showings.of(found.pictures)),
        estimator=estimates.of(study, on_gpu=gpu.count > 0),
    )


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
        taken = _taken(existing, study)
        return Before(() if taken else remembered.measured(opened, study), texts, taken)
    except storage_errors.StorageError:
        return Before()


def _taken(existing: stored_studies.Study, study: study_module.Study) -> str | None:
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


def trainer_process(campaign: campaigns.Campaign, device: launch.Device) -> launch.TrainerProcess:
    """The trainer process as the study asks for: warm over many trials, or fresh for each."""
    console = campaign.settings.runs / campaign.stored.folder / f"worker-{os.getpid()}.log"
    wishes = campaign.study.launch
    replace_after = 1 if wishes.isolation == "process" else wishes.replace_after
    return launch.TrainerProcess(device, campaign.study.trainer, console, replace_after)


def author() -> str:
    """Who pushes a rule version: the login name, where there is one."""
    return getpass.getuser()


def checkout() -> pathlib.Path:
    """The folder that Tuneguard runs from: its examples and demo models lie there."""
    return pathlib.Path(__file__).resolve().parent.parent
