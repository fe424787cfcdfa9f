"""Who runs and who waits among a study's trials, and how many of them count towards its budget."""

import dataclasses
from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from optimizer import attributes
from optimizer.results import fresh


@dataclasses.dataclass
class Roster:
    """A study's trials as whoever hands them out needs them. Each finished trial is looked at once.

    Attributes:
        needed: parameters without which a trial is no point.
        counts_refused: whether a refused point, or a result taken over, costs a trial of the budget.
    """

    needed: frozenset[str]
    counts_refused: bool
    trials: Sequence[optuna.trial.FrozenTrial] = ()
    running: list[optuna.trial.FrozenTrial] = dataclasses.field(default_factory=list)
    waiting: list[optuna.trial.FrozenTrial] = dataclasses.field(default_factory=list)
    #: ended trials that cost no training: refused ones, and results taken over
    _free: int = 0
    _ended: fresh.Fresh = dataclasses.field(default_factory=fresh.Fresh)

    def look(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Take in all trials of the study, in the order of their numbers."""
        ended, open_ = self._ended.look(trials)
        self.trials = trials
        self.running = [trial for trial in open_ if trial.state is TrialState.RUNNING]
        self.waiting = [trial for trial in open_ if trial.state is TrialState.WAITING]
        self._free += sum(self._is_free(trial) for trial in ended)

    @property
    def begun(self) -> list[int]:
        """Numbers of the trials that run and can be gone on with."""
        return [trial.number for trial in self.running if self.needed <= trial.params.keys()]

    @property
    def spent(self) -> int:
        """Trials that count: all rows under `refusals: prune`, those that trained or train under `resample`."""
        return len(self.trials) if self.counts_refused else len(self.trials) - self._free

    def _is_free(self, trial: optuna.trial.FrozenTrial) -> bool:
        is_point = self.needed <= trial.params.keys()
        return is_point and (bool(attributes.refused_by(trial)) or attributes.is_taken_over(trial))
