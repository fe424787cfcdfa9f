"""The rows of a study's trials, and the leases on them: read and written here alone, whatever is decided elsewhere."""

import contextlib
import dataclasses
import datetime
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
import sqlalchemy as sa

from optimizer import opening
from optimizer.study import resolved as study_module
from optimizer.study import space
from optimizer.trials import scores
from storage import artifacts, judgements, leases, optuna_studies, studies
from storage import trials as stored_trials

logger = logging.getLogger(__name__)

#: where Optuna keeps the values of a waiting trial that a person enqueued
GIVEN = "fixed_params"


class Rows:
    """A study's rows for one worker. Not thread-safe.

    Optuna's study may be renamed in optuna-dashboard at any time, which makes a copy of it. Every transaction here
    begins by following it there: rows of our own that were written first would hold the study's row, and whoever
    follows it at the same time would wait for them. So there is no other way to write than inside of one.

    Attributes:
        stored: our row of the study; another one once the study was followed.
        generation: counts how often the study was followed; what was read of its trials before means nothing then.
    """

    def __init__(
        self, services: opening.Services, study: study_module.Study, stored: studies.StudyRow, worker_id: str
    ) -> None:
        self.stored = stored
        self.generation = 0
        self.database = services.database
        self.worker_id = worker_id
        self.lease_seconds = services.settings.lease_seconds
        self.optuna = services.optuna_storage
        self.artifacts = services.artifact_store
        self.distributions = space.distributions(study.space)
        self._objectives = list(study.objectives)
        self._trials = stored_trials.Trials(stored.require_optuna())

    @property
    def study_id(self) -> str:
        """Our own id of the study, which never changes."""
        return self.stored.id

    @property
    def name(self) -> str:
        """What the study is called by now."""
        return self.stored.name

    def optuna_id(self) -> int:
        """Optuna's id of the study, by now."""
        return self.stored.require_optuna()

    @contextlib.contextmanager
    def transaction(self) -> Iterator["Writing"]:
        """One transaction, in which the study is where it was found at the beginning.

        Raises:
            storage.errors.StudyGone: the study was deleted in optuna-dashboard.
            storage.errors.NotFound: it was deleted by `tuneguard study delete`.
        """
        with self.database.transaction() as connection:
            yield self._writing(connection)

    @contextlib.contextmanager
    def claiming(self) -> Iterator["Writing"]:
        """As `transaction`, with only one worker of the study inside at a time: what is read stays true inside."""
        with leases.claiming(self.database, self.study_id) as connection:
            yield self._writing(connection)

    @contextlib.contextmanager
    def telling(self, lease: leases.Lease) -> Iterator["Writing"]:
        """As `transaction`, for whoever holds a trial; nobody else can take it meanwhile, and it is let go at the end.

        Raises:
            storage.errors.LeaseLost: somebody else holds it by now.
        """
        with self.transaction() as writing, leases.telling(writing.connection, lease):
            yield writing

    def read(self) -> Sequence[optuna.trial.FrozenTrial]:
        """The study's trials as they stand, not to be changed. Nobody learns from them by this."""
        with self.transaction() as writing:
            return writing.trials()

    @property
    def scores(self) -> scores.TrialScores:
        """What trials score while they run."""
        return scores.TrialScores(self.read, self.optuna, self.optuna_id)

    def require_study(self) -> None:
        """Raise what `transaction` does: what fails may fail because the study is gone."""
        with self.transaction():
            pass

    def free(self, numbers: Sequence[int]) -> list[int]:
        """Those of some trials that nobody holds."""
        return leases.free(self.database, self.study_id, numbers) if numbers else []

    def held(self, numbers: Sequence[int]) -> Mapping[int, datetime.datetime]:
        """Those of some trials that somebody holds, and until when unless that is renewed."""
        return leases.held(self.database, self.study_id, numbers) if numbers else {}

    def renew(self, lease: leases.Lease) -> bool:
        """Keep a trial; False when another worker has it by now, or when it was told in optuna-dashboard.

        Raises:
            storage.errors.NotFound: the study was deleted.
        """
        renewed = leases.renew(self.database, lease, seconds=self.lease_seconds)
        with self.transaction() as writing:
            return renewed and writing.is_running(lease.trial_number)

    def release(self, lease: leases.Lease) -> None:
        """Let a trial go; the next worker takes it up."""
        leases.release(self.database, lease)

    def _writing(self, connection: sa.Connection) -> "Writing":
        self._follow(connection)
        return Writing(connection, self, self._trials)

    def _follow(self, connection: sa.Connection) -> None:
        """Follow the study to where Optuna keeps it by now."""
        if studies.stands(connection, self.stored):
            return
        before, self.stored = self.stored, studies.of_id(connection, self.study_id)
        found = self.stored.require_optuna()
        logger.info("the study %r is called %r now", before.name, self.stored.name)
        optuna_studies.name_objectives(connection, found, self._objectives)
        # also where the study is the one that we followed it to before: that transaction may have come to nothing
        self._trials = stored_trials.Trials(found)
        self.generation += 1


@dataclasses.dataclass(frozen=True)
class Writing:
    """What can be read and written inside of one transaction of `Rows`."""

    connection: sa.Connection
    rows: Rows
    _trials: stored_trials.Trials

    def trials(self) -> Sequence[optuna.trial.FrozenTrial]:
        """All trials in the order of their numbers, as they stand now; not to be changed."""
        return self._trials.look(self.connection)

    def is_running(self, number: int) -> bool:
        """Whether a trial is there and has been told nothing."""
        return stored_trials.is_running(self.connection, self.rows.optuna_id(), number)

    def lease(self, number: int, why: judgements.Judgement | None = None) -> leases.Lease | None:
        """The right to run and tell a trial, unless somebody holds it; `why` it may be run is kept with it."""
        wanted = (self.connection, self.rows.study_id, number, self.rows.worker_id, self.rows.lease_seconds)
        return leases.acquire(*wanted) if why is None else judgements.take(*wanted, why)

    def judged_by(self, number: int) -> tuple[int, ...] | None:
        """The ids of the rule versions that judged a trial last; None where that is not known."""
        return judgements.latest_versions(self.connection, self.rows.study_id, number)

    def keep(self, lease: leases.Lease, why: judgements.Judgement) -> None:
        """Keep what the rules say of a trial that goes on."""
        judgements.add(self.connection, lease, why)

    def give_back(self, lease: leases.Lease) -> None:
        """Let a trial go."""
        leases.give_back(self.connection, lease)

    def add(
        self,
        state: optuna.trial.TrialState,
        params: Mapping[str, Any],
        *,
        notes: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
        constraints: Mapping[str, float] | None = None,
    ) -> int:
        """Write a new trial; returns its number."""
        said = self._said(state, params, attributes, constraints, notes=notes)
        return stored_trials.add(self.connection, self.rows.optuna_id(), said)

    def begin(self, number: int, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        """Let a waiting trial run, with parameters that it may not have yet."""
        said = self._said(optuna.trial.TrialState.RUNNING, params, attributes, None)
        stored_trials.change(self.connection, self.rows.optuna_id(), number, said)

    def end(
        self,
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
        stored_trials.change(self.connection, self.rows.optuna_id(), number, said)

    def attach(self, trial: optuna.trial.FrozenTrial, path: pathlib.Path) -> str:
        """Keep a picture with a running trial; returns the artifact's id."""
        return artifacts.upload(self.rows.artifacts, self.rows.optuna, trial, path)

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
            distributions={name: self.rows.distributions[name] for name in params},
            user_attrs=dict(attributes or {}),
            system_attrs=dict(notes or {}),
            constraints=dict(constraints or {}),
        )


def add_waiting(connection: sa.Connection, stored: studies.StudyRow, given: Mapping[str, Any]) -> None:
    """Let a point of a new study wait for its turn, as one that a person enqueues does."""
    waiting = optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING, system_attrs={GIVEN: dict(given)})
    stored_trials.add(connection, stored.require_optuna(), waiting)
