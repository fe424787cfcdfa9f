"""The search: a sampler draws until the rules accept, and feasible points are found where it cannot find the way."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from optimizer.designs import design, judgement, repeats
from optimizer.designs.search import feasible as feasibles
from optimizer.designs.search import history as histories
from optimizer.designs.search import sketch as sketches
from optimizer.study import space


@dataclasses.dataclass
class Search:
    """A design that searches. Not thread-safe.

    Attributes:
        admission: the rules, and what is known; both change while a study runs.
        sketch: the sampler.
        seed: where all chance begins.
        most_patience: draws before a proposal comes from elsewhere, and ...
        least_patience: ... the fewest, after proposals for which the draws were in vain.
        avoids_tried: whether a point that was tried is never proposed again.
        keeps_refused: whether a refused draw is a proposal, to become a trial (`refusals: prune`), or is drawn again.
    """

    admission: judgement.Admission
    sketch: sketches.Sketch
    seed: int
    most_patience: int
    least_patience: int
    avoids_tried: bool = True
    keeps_refused: bool = False
    history: histories.History = dataclasses.field(init=False)
    _patience: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.history = histories.History(space.needed(self.admission.study.space))
        self._patience = self.most_patience

    def learn(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        fresh = self.history.look(trials)
        self.sketch.learn(fresh, self.history.running)

    def follow(self, admission: judgement.Admission) -> None:
        if admission is not self.admission:
            self.admission = admission
            self.__dict__.pop("feasible", None)

    def next(self) -> design.Proposal | design.Exhausted:
        refused: list[design.RefusedPoint] = []
        first: sketches.Draw | None = None
        self.sketch.begin()
        try:
            for _ in range(self._patience):
                drawn = self.sketch.draw()
                first = first or drawn
                if self.is_known(drawn.params):
                    continue
                verdict = self.admission.judge(drawn.params)
                if verdict.refused_by and self.keeps_refused:
                    return design.Proposal(drawn.params, drawn.notes, verdict, ((drawn.params, verdict),))
                if verdict.refused_by:
                    refused.append((drawn.params, verdict))
                elif self.sketch.keeps(verdict.weight):
                    self._patience = min(self.most_patience, self._patience * 2)
                    return design.Proposal(drawn.params, drawn.notes, verdict, tuple(refused))
        finally:
            self.sketch.end()
        assert first is not None
        # where that goes on, most draws would be in vain
        self._patience = max(self.least_patience, self._patience // 2)
        found = self._feasible(first.params)
        if isinstance(found, design.Exhausted):
            return dataclasses.replace(found, refused=tuple(refused))
        return design.Proposal(found, first.notes, None, tuple(refused))

    def again(self, proposal: design.Proposal) -> design.Proposal | None:
        verdict = self.admission.judge(proposal.params)
        is_overtaken = not self.keeps_refused if verdict.refused_by else self.is_known(proposal.params)
        return None if is_overtaken else dataclasses.replace(proposal, verdict=verdict)

    def fill(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is not given is drawn: the first draw that is new and that the rules accept is taken, else the last."""
        self.sketch.begin()
        try:
            for _ in range(sketches.USUAL_PATIENCE):
                params = self.sketch.draw(given).params
                if params.keys() <= given.keys():
                    break
                if not self.is_known(params) and not self.admission.judge(params).refused_by:
                    break
        finally:
            self.sketch.end()
        return params

    @functools.cached_property
    def feasible(self) -> feasibles.Feasible:
        """Feasible points under the rules as they stand."""
        return feasibles.Feasible(self.admission, self.history.is_tried, avoids_tried=self.avoids_tried, seed=self.seed)

    def _feasible(self, wanted: Mapping[str, Any]) -> Mapping[str, Any] | design.Exhausted:
        """A feasible point near the one that the sampler wanted, where what it wants follows from results."""
        found = self.feasible.beside(wanted)
        if found is not None:
            return found
        for trial in self.history.running:
            self.feasible.reservoir.add(trial.params)
        return self.feasible.near(wanted if self.sketch.is_guided else None)

    def is_known(self, params: Mapping[str, Any]) -> bool:
        """Whether a draw would be a duplicate that is to be avoided."""
        return self.avoids_tried and self.history.is_tried(params)


def of(admission: judgement.Admission, seed: int, taught: Sequence[optuna.trial.FrozenTrial] = ()) -> design.Design:
    """The search that a study asks for, with its repeats; it knows of no trial of the study yet.

    Args:
        seed: all its chance follows from it.
        taught: trials of earlier studies that the sampler learns from.
    """
    times = admission.study.search.repeats
    single = once(admission, seed, taught)
    return repeats.Repeats(single, times, admission) if times > 1 else single


def once(admission: judgement.Admission, seed: int, taught: Sequence[optuna.trial.FrozenTrial] = ()) -> Search:
    """As `of`, without repeats."""
    study, wanted = admission.study, admission.study.search
    make = functools.partial(
        sketches.make,
        wanted.sampler,
        objectives=len(study.objectives),
        startup_trials=wanted.startup_trials,
        conditional=any(domain.when is not None for domain in study.space.values()),
    )
    guided_from = None if wanted.sampler in sketches.UNGUIDED else wanted.startup_trials
    sketch = sketches.Sketch(make, list(study.objectives.values()), study.space, study.fixed, seed, guided_from)
    sketch.learn(taught)
    return Search(
        admission,
        sketch,
        seed,
        most_patience=sketches.PATIENCE.get(wanted.sampler, sketches.USUAL_PATIENCE),
        least_patience=sketches.LEAST_PATIENCE.get(wanted.sampler, sketches.USUAL_LEAST_PATIENCE),
        avoids_tried=wanted.duplicates == "avoid",
        keeps_refused=wanted.refusals == "prune",
    )
