"""Scores of running trials at their milestones, as optuna-dashboard shows them and pruners read them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import optuna


@dataclasses.dataclass(frozen=True)
class TrialScores:
    """The part of a study's rows that is written while trials run: through Optuna's own interface, value by value.

    Attributes:
        read: all trials of the study as they stand, in the order of their numbers.
        storage: where Optuna keeps the study.
        optuna_id: of the study there, by now; a rename in optuna-dashboard changes it.
    """

    read: Callable[[], Sequence[optuna.trial.FrozenTrial]]
    storage: optuna.storages.BaseStorage
    optuna_id: Callable[[], int]

    def keep(self, number: int, milestone: int, score: float) -> None:
        """Write a score as an intermediate value of Optuna's row.

        Raises:
            KeyError: there is no such trial; the study is being renamed perhaps.
            optuna.exceptions.UpdateFinishedTrialError: the trial has been told.
        """
        self.storage.set_trial_intermediate_value(self._trial_id(number), milestone, score)

    def note(self, number: int, name: str, value: Any) -> None:
        """Write a note beside it; raises as `keep`."""
        self.storage.set_trial_system_attr(self._trial_id(number), name, value)

    def _trial_id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.optuna_id(), number)
