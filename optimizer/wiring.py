"""The only place that constructs: services and a study to a campaign."""

import functools
import logging
import os
import socket
from collections.abc import Mapping, Sequence

import optuna

from constraints.rules import ruleset as rulesets
from optimizer import opening, provenance
from optimizer.designs.search import history, pruning
from optimizer.designs.search import search as searches
from optimizer.designs.search import sketch as sampler
from optimizer.forecast import estimates, readiness, remembered
from optimizer.forecast import situation as facts
from optimizer.results import reading
from optimizer.rules import book as rulebook
from optimizer.running import launch
from optimizer.study import resolved as study_module
from optimizer.trials import beginning, earlier
from optimizer.trials import campaign as campaigns
from optimizer.trials import observer as observers
from storage import optuna_studies, workers
from storage import studies as stored_studies
from storage import trials as stored_trials
from trainers.data import buckets, dataset

logger = logging.getLogger(__name__)


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
    others, sources = reading.followers(services), earlier.studies(services, study)
    taught: list[optuna.trial.FrozenTrial] = []

    def begin(book: rulebook.Rulebook, seed: int, known: facts.Situation) -> searches.Search:
        """A search that knows of what earlier studies taught, and of no trial yet."""
        search = open_search(study, book.rules, known.for_rules(book.rules.text), seed)
        search.sketch.learn(taught)
        return search

    environment = provenance.environment(provenance.checkout())
    # whatever is wrong with the study, nothing of it is stored
    with services.database.transaction() as connection:
        book = rulebook.push(connection, study, provenance.author(), others)
        stored = beginning.keep_study(connection, study)
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
        taught += earlier.trials(connection, study, stored, search, sources)
        search.sketch.learn(taught)
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


def situation(study: study_module.Study, found: dataset.DatasetFacts) -> facts.Situation:
    """What is known before a point is drawn; asks for GPUs."""
    gpu = facts.gpus()
    return facts.Situation(
        gpu=gpu,
        counter=remembered.step_counter(study, buckets.Showings.of(found.pictures)),
        estimator=estimates.of(study, on_gpu=gpu.count > 0),
    )


def trainer_process(campaign: campaigns.Campaign, device: launch.Device) -> launch.TrainerProcess:
    """The trainer process as the study asks for: warm over many trials, or fresh for each."""
    console = campaign.settings.runs / campaign.stored.folder / f"worker-{os.getpid()}.log"
    wishes = campaign.study.launch
    replace_after = 1 if wishes.isolation == "process" else wishes.replace_after
    return launch.TrainerProcess(device, campaign.study.trainer, console, replace_after)
