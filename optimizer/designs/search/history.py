"""What a search knows of its study's trials: which points were tried, and which are being trained."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from optimizer.results import fresh
from optimizer.study import space


class History:
    """A study's trials as a search needs them. Each finished trial is looked at once.

    Args:
        needed: parameters without which a trial is no point: told, in optuna-dashboard, before it had begun.
    """

    def __init__(self, needed: Collection[str] = ()) -> None:
        self.running: list[optuna.trial.FrozenTrial] = []
        self._needed = frozenset(needed)
        self._ended = fresh.Fresh()
        self._outcomes: set[space.Point] = set()

    def look(self, trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
        """Take in all trials, in the order of their numbers; returns the points that ended since the last look."""
        ended, open_ = self._ended.look(trials)
        self.running = [trial for trial in open_ if trial.state is TrialState.RUNNING]
        points = [trial for trial in ended if self._needed <= trial.params.keys()]
        self._outcomes |= {space.point(trial.params) for trial in points if fresh.has_outcome(trial)}
        return points

    def is_tried(self, params: Mapping[str, Any]) -> bool:
        """Whether this very point has an outcome or is being trained."""
        point = space.point(params)
        return point in self._outcomes or any(space.point(trial.params) == point for trial in self.running)
