"""A design whose usable points are trained several times, each time from another seed, before it goes on."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from optimizer import attributes
from optimizer.designs import design, judgement
from optimizer.results import fresh
from optimizer.study import space


class Repeats:
    """Proposes repeats of usable points first, then what another design proposes.

    Args:
        inner: the design whose points are repeated.
        times: how often each usable point is trained in all.
        admission: the rules; a repeat that newer ones refuse is not trained.
    """

    def __init__(self, inner: design.Design, times: int, admission: judgement.Admission) -> None:
        self._inner = inner
        self._times = times
        self._admission = admission
        self._needed = space.needed(admission.study.space)
        self._ended = fresh.Fresh()
        self._running: list[optuna.trial.FrozenTrial] = []
        #: the repeats of each point that have an outcome
        self._trained: dict[space.Point, set[int]] = {}
        self._to_repeat: dict[space.Point, Mapping[str, Any]] = {}
        #: the repeats of a point that came to nothing; their seeds would fail again, or have trained a part already
        self._crashed: dict[space.Point, set[int]] = {}

    def learn(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        ended, open_ = self._ended.look(trials)
        self._running = [trial for trial in open_ if trial.state is TrialState.RUNNING]
        for trial in ended:
            if self._needed <= trial.params.keys():
                self._count(trial)
        self._inner.learn(trials)

    def follow(self, admission: judgement.Admission) -> None:
        self._admission = admission
        self._inner.follow(admission)

    def next(self) -> design.Proposal | design.Exhausted:
        return self._repeat() or self._inner.next()

    def again(self, proposal: design.Proposal) -> design.Proposal | None:
        """Which point is repeated is decided where nobody else decides, so another repeat may stand in for this one."""
        return self._repeat() if proposal.repeat else self._inner.again(proposal)

    def fill(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._inner.fill(given)

    def _repeat(self) -> design.Proposal | None:
        """A usable point that has been trained too seldom, and which repeat of it is next (1 is the first repeat).

        A repeat's number is never given again, nor is therefore its seed: not even where it crashed.
        """
        for point, params in list(self._to_repeat.items()):
            begun = self._trained[point] | self._being_trained(point)
            if len(begun) >= self._times:
                continue
            if self._admission.judge(params).refused_by:  # by newer rules
                del self._to_repeat[point]
                continue
            return design.Proposal(params, repeat=max(begun | self._crashed.get(point, set())) + 1)
        return None

    def _being_trained(self, point: space.Point) -> set[int]:
        return {attributes.repeat_of(each.user_attrs) for each in self._running if space.point(each.params) == point}

    def _count(self, trial: optuna.trial.FrozenTrial) -> None:
        point = space.point(trial.params)
        repeat = attributes.repeat_of(trial.user_attrs)
        if trial.state is TrialState.FAIL:
            self._crashed.setdefault(point, set()).add(repeat)
        if not fresh.has_outcome(trial):
            return
        self._trained.setdefault(point, set()).add(repeat)
        if trial.state is TrialState.COMPLETE and len(self._trained[point]) < self._times:
            self._to_repeat[point] = trial.params
        else:
            self._to_repeat.pop(point, None)
