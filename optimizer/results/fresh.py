"""A study's trials as whoever follows it needs them: those that ended since the last look, and those still open."""

from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from optimizer import attributes


class Fresh:
    """Tells which trials ended since the last look; each is told once, so that a long study costs nothing."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        #: trials before this position have all ended, and were told
        self._settled = 0

    def look(
        self, trials: Sequence[optuna.trial.FrozenTrial]
    ) -> tuple[list[optuna.trial.FrozenTrial], list[optuna.trial.FrozenTrial]]:
        """All trials of a study, in the order of their numbers, to those that ended since and those that have not."""
        ended: list[optuna.trial.FrozenTrial] = []
        open_: list[optuna.trial.FrozenTrial] = []
        for trial in trials[self._settled :]:
            if not trial.state.is_finished():
                open_.append(trial)
            elif trial.number not in self._told:
                self._told.add(trial.number)
                ended.append(trial)
        while self._settled < len(trials) and trials[self._settled].number in self._told:
            self._settled += 1
        return ended, open_


def has_outcome(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial was trained and ended, so that the same parameters and seed would end the same."""
    settled = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return settled and not attributes.refused_by(trial) and not attributes.is_taken_over(trial)
