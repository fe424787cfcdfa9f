"""A study that is open for work: its specification, its rules as they stand now, and the places it is remembered in."""

import contextlib
import dataclasses
import functools
import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optuna
import sqlalchemy as sa

from constraints import ruleset as rulesets
from constraints import verdict as verdicts
from optimizer import estimates, facts, observer, pruning, rulebook, settings, space, study
from optimizer import search as searches
from storage import artifacts, database, leases, optuna_studies, runs, studies
from storage import trials as stored_trials

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Campaign:
    """Everything a worker needs to go on with a study. One per worker process; not thread-safe.

    The rules change: a running study follows the newest version of its rule sets. What is known of its trials grows.
    """

    study: study.Study
    #: our row of it
    stored: studies.Study
    #: trials that may be spent before the study is done
    budget: int
    optuna_storage: optuna.storages.BaseStorage
    artifact_store: artifacts.ArtifactStore
    database: database.Database
    settings: settings.Settings
    book: rulebook.Rulebook
    search: searches.Search
    #: the study's trials as far as they have been read
    trials: stored_trials.Trials
    #: with estimates as good as they are by now, whether or not a rule asks for them
    situation: facts.Situation
    pruning: pruning.Pruning
    observer: observer.Observer
    worker_id: str
    #: a search that knows of no trial yet
    begin: Callable[[rulebook.Rulebook, facts.Situation], searches.Search]
    #: trials that had ended when the estimates were corrected last
    _ended: int = 0

    @property
    def study_id(self) -> str:
        return self.stored.id

    @property
    def rules(self) -> rulesets.RuleSet:
        return self.book.rules

    @property
    def rule_version(self) -> str:
        """The versions in force, as `name@number, ...`."""
        return self.book.label

    @property
    def rule_version_ids(self) -> tuple[int, ...]:
        """The database ids of the versions in force."""
        return tuple(version.id for version in self.book.versions)

    def judge(self, params: Mapping[str, Any]) -> verdicts.Verdict:
        """What the rules say of a point (sampled parameters; the fixed ones are added)."""
        return self.search.judge(params)

    def look(self) -> None:
        """See what became of the study, its rules and its trials, for sampler and estimates to learn."""
        with self.database.transaction() as connection:
            self.follow(connection)
            self.follow_rules(connection)
            trials = self.look_at_trials(connection)
        if self.situation.for_rules(self.rules.text).estimator is not None:
            self._estimate(trials)

    def follow(self, connection: sa.Connection) -> None:
        """Follow the study to where Optuna keeps it by now: a rename in optuna-dashboard makes a copy of it.

        The first thing of a transaction: rows of our own that are written hold the study's row, and whoever follows it
        at the same time would wait for them.

        Raises:
            storage.errors.StudyGone: it was deleted in optuna-dashboard.
            storage.errors.NotFound: it was deleted by `tuneguard study delete`.
        """
        if studies.stands(connection, self.stored):
            return
        before, self.stored = self.stored, studies.of_id(connection, self.study_id)
        found = self.stored.require_optuna()
        logger.info("the study %r is called %r now", before.name, self.stored.name)
        self.study = self.study.model_copy(update={"name": self.stored.name})
        optuna_studies.name_objectives(connection, found, list(self.study.objectives))
        # also where the study is the one that we followed it to before: that transaction may have come to nothing
        self.trials = stored_trials.Trials(found)
        self.search = self.begin(self.book, self.situation)

    def require_study(self) -> None:
        """As `follow`, in a transaction of its own: what fails may fail because the study is gone."""
        with self.database.transaction() as connection:
            self.follow(connection)

    def follow_rules(self, connection: sa.Connection) -> None:
        """Follow the newest rules that can be used here; feasible points of older ones are forgotten."""
        before = self.book.label
        unusable = self.book.refresh(connection)
        if unusable is not None:
            logger.warning("%s", unusable)
            self.observer.noticed(unusable)
        if self.book.label != before:
            self.search.follow(self.book.rules)

    def read_trials(self) -> Sequence[optuna.trial.FrozenTrial]:
        """The study's trials as they stand, for whoever looks on; nobody learns from them by this."""
        with self.database.transaction() as connection:
            self.follow(connection)
            return self.trials.look(connection)

    def look_at_trials(self, connection: sa.Connection) -> Sequence[optuna.trial.FrozenTrial]:
        """The study's trials as they stand, not to be changed; the sampler learns from those that ended."""
        # the first look builds every trial of the study, and collecting garbage meanwhile would double its time
        collecting = gc.isenabled()
        gc.disable()
        try:
            trials = self.trials.look(connection)
            self.search.look(trials)
        finally:
            if collecting:
                gc.enable()
        return trials

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

    def remember_baseline(self, scores: Mapping[str, Any]) -> None:
        """Keep the untrained base's scores and images; every trainer process tells them, and they are the same."""
        with self.database.transaction() as connection:
            studies.learn(connection, self.study_id, studies.Facts(baseline=dict(scores)))

    def add_trial(
        self,
        connection: sa.Connection,
        state: optuna.trial.TrialState,
        params: Mapping[str, Any],
        *,
        notes: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
        constraints: Mapping[str, float] | None = None,
    ) -> int:
        """Write a new trial; returns its number."""
        said = self._said(state, params, attributes, constraints, notes=notes)
        return stored_trials.add(connection, self.stored.require_optuna(), said)

    def begin_trial(
        self, connection: sa.Connection, number: int, params: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> None:
        """Let a waiting trial run, with parameters that it may not have yet."""
        said = self._said(optuna.trial.TrialState.RUNNING, params, attributes, None)
        stored_trials.change(connection, self.stored.require_optuna(), number, said)

    def end_trial(
        self,
        connection: sa.Connection,
        number: int,
        state: optuna.trial.TrialState,
        *,
        values: Sequence[float] | None = None,
        params: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        """Write how a trial ended.

        Raises:
            storage.errors.TrialEnded: it has been told already, by a person in optuna-dashboard perhaps.
        """
        said = self._said(state, params or {}, attributes, constraints, values=values)
        stored_trials.change(connection, self.stored.require_optuna(), number, said)

    def _said(
        self,
        state: optuna.trial.TrialState,
        params: Mapping[str, Any],
        attributes: Mapping[str, Any] | None,
        constraints: Mapping[str, float] | None,
        *,
        values: Sequence[float] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> optuna.trial.FrozenTrial:
        return optuna.trial.create_trial(
            state=state,
            values=values,
            params=dict(params),
            distributions={name: self._distributions[name] for name in params},
            user_attrs=dict(attributes or {}),
            system_attrs=dict(notes or {}),
            constraints=dict(constraints or {}),
        )

    @functools.cached_property
    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        return space.distributions(self.study.space)

    @contextlib.contextmanager
    def claiming(self) -> Iterator[sa.Connection]:
        """As `lock`; study, rules and trials are those of this moment, and stay so inside."""
        with self.lock() as connection:
            self.follow(connection)
            self.follow_rules(connection)
            self.look_at_trials(connection)
            yield connection

    @contextlib.contextmanager
    def lock(self) -> Iterator[sa.Connection]:
        """Only one worker of this study at a time is inside, in one transaction."""
        with leases.claiming(self.database, self.study_id) as connection:
            yield connection

    def lease(self, connection: sa.Connection, trial: int) -> leases.Lease | None:
        """The right to run and tell a trial, unless somebody holds it."""
        return leases.acquire(connection, self.study_id, trial, self.worker_id, seconds=self.settings.lease_seconds)

    def renew(self, lease: leases.Lease) -> bool:
        """Keep a trial; False when another worker has it by now, or when it was told in optuna-dashboard.

        Raises:
            storage.errors.NotFound: the study was deleted.
        """
        renewed = leases.renew(self.database, lease, seconds=self.settings.lease_seconds)
        with self.database.transaction() as connection:
            self.follow(connection)
            return renewed and stored_trials.is_running(connection, self.stored.require_optuna(), lease.trial_number)

    def release(self, lease: leases.Lease | None) -> None:
        if lease is not None:
            leases.release(self.database, lease)
