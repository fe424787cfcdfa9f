"""A study that is open for work: its specification, its rules as they stand now, and the places it is remembered in."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna

from constraints import conditions
from constraints import domain as domains
from constraints import ruleset as rulesets
from constraints import verdict as verdicts
from optimizer import facts, observer, rulebook, sampler, settings, space, study
from storage import artifacts, database, leases, studies


@dataclasses.dataclass
class Campaign:
    """Everything a worker needs to go on with a study. One per worker process; not thread-safe.

    Only `rules` and `rule_version` change: a running study follows the newest version of its rule sets.
    """

    study: study.Study
    study_id: str
    #: trials that may be spent before the study is done
    budget: int
    optuna_study: optuna.Study
    optuna_storage: optuna.storages.BaseStorage
    artifact_store: artifacts.ArtifactStore
    database: database.Database
    settings: settings.Settings
    situation: facts.Situation
    book: rulebook.Rulebook
    conditions: conditions.Conditions
    sketch: sampler.Sketch
    observer: observer.Observer
    worker_id: str

    @property
    def rules(self) -> rulesets.RuleSet:
        return self.book.rules

    @property
    def rule_version(self) -> str:
        """The versions in force, as `name@number, ...`."""
        return self.book.label

    def refresh_rules(self) -> None:
        """Follow the newest versions of the study's rule sets."""
        self.book.refresh(self.database)

    def version_of(self, refused_by: Sequence[str]) -> int | None:
        """The database id of the rule version that holds the first of these rules."""
        return self.book.version_of(refused_by)

    def judge(self, params: Mapping[str, Any]) -> verdicts.Verdict:
        """What the rules say of a point (sampled parameters; the fixed ones are added)."""
        point = study.complete(self.study, params)
        return self.rules.check_point(params, facts=self.situation.facts(point))

    def is_active(self, domain: domains.Domain, values: Mapping[str, Any]) -> bool:
        """Whether a conditional parameter is set, given the values of those before it."""
        return self.conditions.is_active(domain.name, study.complete(self.study, values))

    def trials(self, states: tuple[optuna.trial.TrialState, ...] | None = None) -> list[optuna.trial.FrozenTrial]:
        return self.optuna_study.get_trials(deepcopy=False, states=states)

    def remember_baseline(self, scores: Mapping[str, Any]) -> None:
        """Keep the untrained base's scores and images; every trainer process tells them, and they are the same."""
        studies.add_facts(self.database, self.study_id, {"baseline": dict(scores)})

    def offer(self, draft: sampler.Draft) -> None:
        """Write an accepted point as a waiting trial: one row, one transaction."""
        self.optuna_study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.WAITING,
                params=dict(draft.params),
                distributions={name: space.distribution(self.study.space[name]) for name in draft.params},
                system_attrs=dict(draft.attributes),
            )
        )

    def trial(self, number: int) -> optuna.Trial:
        """The trial object of a trial that was asked, perhaps by another process."""
        study_id = self.optuna_storage.get_study_id_from_name(self.study.name)
        trial_id = self.optuna_storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return optuna.trial.Trial(self.optuna_study, trial_id)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Only one worker of this study at a time is inside."""
        with leases.claiming(self.database, self.study_id):
            yield

    def lease(self, trial: int) -> leases.Lease | None:
        """The right to run and tell a trial, unless somebody holds it."""
        return leases.acquire(self.database, self.study_id, trial, self.worker_id, seconds=self.settings.lease_seconds)

    def renew(self, lease: leases.Lease) -> bool:
        """Keep a trial; False when another worker has it by now."""
        return leases.renew(self.database, lease, seconds=self.settings.lease_seconds)

    def release(self, lease: leases.Lease | None) -> None:
        if lease is not None:
            leases.release(self.database, lease)
