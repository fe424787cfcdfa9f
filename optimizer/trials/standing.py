"""The rules of a study and what is known of its trials, followed while it runs: what is admitted by now."""

import dataclasses
from collections.abc import Sequence

import optuna
import sqlalchemy as sa

from optimizer import remembered
from optimizer.designs import judgement
from optimizer.forecast import estimates
from optimizer.forecast import situation as situations
from optimizer.rules import book as rulebook
from storage import attempts as stored_attempts
from storage import database


class Standing:
    """What is admitted as things stand: the newest rules that can be used, with estimates as good as they are by now.

    Attributes:
        admission: replaced by another one when rules or estimates change; feasible points that are known stay so while
            the estimates hardly move.
    """

    def __init__(
        self, book: rulebook.Rulebook, situation: situations.Situation, source: database.Database, study_id: str
    ) -> None:
        self.book = book
        self._database = source
        self._study_id = study_id
        #: with estimates whether or not a rule asks for them
        self._situation = situation
        #: trials that had ended when the estimates were corrected last
        self._ended = 0
        self.admission = self._admit()

    def follow(self, connection: sa.Connection) -> str | None:
        """Follow the newest rules that can be used here; returns why newer ones cannot, once for each of them."""
        before = self.book.versions
        unusable = self.book.refresh(connection)
        if self.book.versions is not before:
            self.admission = self._admit()
        return unusable

    def measure(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Let the rules know what trials take, as well as the trials that have ended tell; nothing where none asks."""
        known, now = self.admission.situation.estimator, self._situation.estimator
        if known is None or now is None:
            return
        ended = sum(trial.state.is_finished() for trial in trials)
        if ended > self._ended:
            newest = trials[-estimates.NEWEST :]
            attempts = stored_attempts.listed(self._database, self._study_id, newest[0].number)
            now = now.calibrated(remembered.taken(self.book.study, newest, attempts))
            self._situation = dataclasses.replace(self._situation, estimator=now)
            self._ended = ended
        if not now.is_close_to(known):
            self.admission = self._admit()

    def _admit(self) -> judgement.Admission:
        rules = self.book.rules
        return judgement.Admission(self.book.study, rules, self._situation.for_rules(rules))
