"""What a worker knows of its study's trials: read once a proposal, counted as they end."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna

from optimizer.results import records
from optimizer.study import space

State = optuna.trial.TrialState

#: states whose outcome would come again: the same parameters and seed train the same LoRA
_SETTLED = (State.COMPLETE, State.PRUNED)


class History:
    """A study's trials as a search needs them. Each finished trial is looked at once.

    Args:
        repeats: how often each usable point is trained in all.
        needed: parameters without which a trial is no point: told, in optuna-dashboard, before it had begun.
    """

    def __init__(self, repeats: int = 1, needed: Collection[str] = ()) -> None:
        self.running: list[optuna.trial.FrozenTrial] = []
        self.waiting: list[optuna.trial.FrozenTrial] = []
        #: all trials, and those among them that cost no training: refused ones, and results taken over
        self.rows = 0
        self.free = 0
        self._repeats = repeats
        self._needed = frozenset(needed)
        self._outcomes: dict[space.Point, list[optuna.trial.FrozenTrial]] = {}
        self._to_repeat: dict[space.Point, Mapping[str, Any]] = {}
        #: the repeats of a point that came to nothing; their seeds would fail again, or have trained a part already
        self._crashed: dict[space.Point, set[int]] = {}
        self._counted: set[int] = set()
        self._settled = 0

    def look(self, trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
        """Take in a study's trials, in the order of their numbers; returns those that ended since the last look."""
        fresh: list[optuna.trial.FrozenTrial] = []
        self.running, self.waiting, self.rows = [], [], len(trials)
        for trial in trials[self._settled :]:
            if trial.state is State.WAITING:
                self.waiting.append(trial)
            elif trial.state is State.RUNNING:
                self.running.append(trial)
            elif trial.number not in self._counted:
                self._count(trial)
                fresh.append(trial)
        while self._settled < len(trials) and trials[self._settled].number in self._counted:
            self._settled += 1
        return fresh

    def is_whole(self, params: Mapping[str, Any]) -> bool:
        """Whether parameters name a point of the space."""
        return self._needed <= params.keys()

    def is_tried(self, params: Mapping[str, Any]) -> bool:
        """Whether this very point has an outcome or is being trained."""
        point = space.point(params)
        return point in self._outcomes or any(space.point(trial.params) == point for trial in self.running)

    def outcomes(self, params: Mapping[str, Any]) -> Sequence[optuna.trial.FrozenTrial]:
        """Trials of this very point that came to a result, usable or not; one that was stopped early has none."""
        ended = self._outcomes.get(space.point(params), ())
        return [trial for trial in ended if not records.is_stopped_early(trial)]

    def being_trained(self, params: Mapping[str, Any]) -> set[int]:
        """Which trainings of this very point are going on; 0 is the first, and each has a seed of its own."""
        point = space.point(params)
        return {records.repeat_of(trial.user_attrs) for trial in self.running if space.point(trial.params) == point}

    def next_repeat(self) -> tuple[Mapping[str, Any], int] | None:
        """A usable point that has been trained too seldom, and which repeat of it is next (1 is the first repeat).

        A repeat's number is never given again, nor is therefore its seed: not even where it crashed.
        """
        for point, params in self._to_repeat.items():
            begun = self._trained(point) | self.being_trained(params)
            if len(begun) < self._repeats:
                return params, max(begun | self._crashed.get(point, set())) + 1
        return None

    def spare(self, params: Mapping[str, Any]) -> None:
        """Repeat this point no more."""
        self._to_repeat.pop(space.point(params), None)

    def _trained(self, point: space.Point) -> set[int]:
        return {records.repeat_of(trial.user_attrs) for trial in self._outcomes.get(point, ())}

    def _count(self, trial: optuna.trial.FrozenTrial) -> None:
        self._counted.add(trial.number)
        if not self.is_whole(trial.params):
            return
        refused = bool(records.refused_by(trial))
        taken_over = records.is_taken_over(trial)
        self.free += refused or taken_over
        point = space.point(trial.params)
        if trial.state is State.FAIL:
            self._crashed.setdefault(point, set()).add(records.repeat_of(trial.user_attrs))
        if trial.state not in _SETTLED or refused or taken_over:
            return
        self._outcomes.setdefault(point, []).append(trial)
        if trial.state is State.COMPLETE and len(self._trained(point)) < self._repeats:
            self._to_repeat[point] = trial.params
        else:
            self.spare(trial.params)
