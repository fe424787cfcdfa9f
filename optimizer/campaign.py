"""A study that is open for work: its specification, its rules as they stand now, and the places it is remembered in."""

import contextlib
import dataclasses
import functools
import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna

from constraints import ruleset as rulesets
from constraints import verdict as verdicts
from optimizer import estimates, facts, observer, pruning, rulebook, settings, space, study
from optimizer import search as searches
from storage import artifacts, database, leases, runs, studies


@dataclasses.dataclass
class Campaign:
    """Everything a worker needs to go on with a study. One per worker process; not thread-safe.

    The rules change: a running study follows the newest version of its rule sets. What is known of its trials grows.
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
    book: rulebook.Rulebook
    search: searches.Search
    #: with estimates as good as they are by now, whether or not a rule asks for them
    situation: facts.Situation
    pruning: pruning.Pruning
    observer: observer.Observer
    worker_id: str
    #: trials that had ended when the estimates were corrected last
    _ended: int = 0

    @property
    def rules(self) -> rulesets.RuleSet:
        return self.book.rules

    @property
    def rule_version(self) -> str:
        """The versions in force, as `name@number, ...`."""
        return self.book.label

    def refresh_rules(self) -> None:
        """Follow the newest versions of the study's rule sets; feasible points of older ones are forgotten."""
        before = self.book.label
        self.book.refresh(self.database)
        if self.book.label != before:
            self.search.follow(self.book.rules)

    def version_of(self, refused_by: Sequence[str]) -> int | None:
        """The database id of the rule version that holds the first of these rules."""
        return self.book.version_of(refused_by)

    def judge(self, params: Mapping[str, Any]) -> verdicts.Verdict:
        """What the rules say of a point (sampled parameters; the fixed ones are added)."""
        return self.search.judge(params)

    def look(self) -> None:
        """Read what became of the study's trials; let the sampler and the estimates learn from it."""
        trials = self.trials()
        self.search.look(trials)
        if self.situation.for_rules(self.rules.text).estimator is not None:
            self._estimate(trials)

    def _estimate(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Let the rules know what trials take, as well as the trials that have ended tell.

        Feasible points that are known stay so while the estimates hardly move.
        """
        assert self.situation.estimator is not None  # asked for by the rules
        ended = sum(trial.state.is_finished() for trial in trials)
        if ended > self._ended:
            self._ended = ended
            newest = trials[-estimates.NEWEST :]
            attempts = runs.listed(self.database, self.study_id, newest[0].number)
            after = self.situation.estimator.calibrated(estimates.measured(self.study, newest, attempts))
            self.situation = dataclasses.replace(self.situation, estimator=after)
        now, known = self.situation.estimator, self.search.situation.estimator
        if known is None or (now is not None and not now.is_close_to(known)):
            self.search.situation = self.situation
            self.search.follow(self.rules)

    def trials(self, states: tuple[optuna.trial.TrialState, ...] | None = None) -> list[optuna.trial.FrozenTrial]:
        """Trials as Optuna's storage keeps them; not to be changed."""
        # the first look builds every trial of the study, and collecting garbage meanwhile would double its time
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self.optuna_study.get_trials(deepcopy=False, states=states)
        finally:
            if collecting:
                gc.enable()

    def remember_baseline(self, scores: Mapping[str, Any]) -> None:
        """Keep the untrained base's scores and images; every trainer process tells them, and they are the same."""
        studies.add_facts(self.database, self.study_id, {"baseline": dict(scores)})

    def create_trial(self, params: Mapping[str, Any], notes: Mapping[str, Any], attributes: Mapping[str, Any]) -> int:
        """Write an accepted point as a running trial, in one transaction; returns its number. Call it under `lock`."""
        made = self.optuna_storage.create_new_trial(
            self._optuna_study_id,
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=dict(params),
                distributions={name: space.distribution(self.study.space[name]) for name in params},
                user_attrs=dict(attributes),
                system_attrs=dict(notes),
            ),
        )
        # numbers follow each other, so the next one is it unless a person enqueued a point just now
        expected = self.search.history.rows
        with contextlib.suppress(KeyError):
            if self.optuna_storage.get_trial_id_from_study_id_trial_number(self._optuna_study_id, expected) == made:
                return expected
        return self.optuna_storage.get_trial_number_from_id(made)

    def finish_trial(
        self,
        number: int,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
        *,
        attributes: Mapping[str, Any],
        constraints: Mapping[str, float],
    ) -> None:
        """Write how a trial ended. Optuna's own `tell` reads the trial twice more, for samplers that draw there."""
        trial = self.trial(number)
        trial_id = self.optuna_storage.get_trial_id_from_study_id_trial_number(self._optuna_study_id, number)
        for name, value in attributes.items():
            self.optuna_storage.set_trial_user_attr(trial_id, name, value)
        for rule, violation in constraints.items():
            trial.set_constraint(rule, violation)
        self.optuna_storage.set_trial_state_values(trial_id, state, values)

    def trial(self, number: int) -> optuna.Trial:
        """The trial object of a trial that was asked, perhaps by another process."""
        trial_id = self.optuna_storage.get_trial_id_from_study_id_trial_number(self._optuna_study_id, number)
        return optuna.trial.Trial(self.optuna_study, trial_id)

    @functools.cached_property
    def _optuna_study_id(self) -> int:
        return self.optuna_storage.get_study_id_from_name(self.study.name)

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
