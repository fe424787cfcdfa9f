"""A study's search without its database: a sampler's sketch, the rules that judge, and what is known of trials."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from constraints.judging import verdict as verdicts
from constraints.rules import ruleset as rulesets
from optimizer.designs.search import history
from optimizer.designs.search import reservoir as reservoirs
from optimizer.designs.search import sketch as sampler
from optimizer.forecast import situation as facts
from optimizer.rules import judgement
from optimizer.study import resolved as study


@dataclasses.dataclass
class Search:
    """Everything that a proposal follows from. Not thread-safe.

    The rules change: a running study follows the newest version of its rule sets. What is known of its trials grows.
    """

    study: study.Study
    rules: rulesets.RuleSet
    situation: facts.Situation
    sketch: sampler.Sketch
    history: history.History
    #: where all chance begins
    seed: int
    #: draws before the next proposal comes from the reservoir
    patience: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.patience = self._most_patience

    @property
    def _most_patience(self) -> int:
        return sampler.PATIENCE.get(self.study.search.sampler, sampler.USUAL_PATIENCE)

    def lose_patience(self) -> None:
        """The sampler found nothing: where that goes on, most draws would be in vain."""
        least = sampler.LEAST_PATIENCE.get(self.study.search.sampler, sampler.USUAL_LEAST_PATIENCE)
        self.patience = max(least, self.patience // 2)

    def gain_patience(self) -> None:
        """The sampler found a feasible point by itself."""
        self.patience = min(self._most_patience, self.patience * 2)

    def follow(self, rules: rulesets.RuleSet) -> None:
        """Go on under other rules; what was feasible under the old ones is forgotten."""
        self.rules = rules
        self.__dict__.pop("reservoir", None)

    @functools.cached_property
    def reservoir(self) -> reservoirs.Reservoir:
        """Feasible points under the rules as they stand."""
        return reservoirs.Reservoir(self.study.space, self.study.fixed, self.weigh, self.seed)

    def judge(self, params: Mapping[str, Any]) -> verdicts.Verdict:
        """What the rules and the trainer say of a point."""
        return judgement.judge(self.study, self.rules, self.situation, params)

    def weigh(self, columns: reservoirs.Columns) -> npt.NDArray[np.float64]:
        """The same for a table of points, shape (points,): 0 refused, 1 accepted, between them discouraged."""
        return judgement.weigh(self.study, self.rules, self.situation, columns)

    def look(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Take in all trials of the study, in the order of their numbers, and let the sampler learn from new ones."""
        fresh = [trial for trial in self.history.look(trials) if self.history.is_whole(trial.params)]
        self.sketch.learn(fresh, self.history.running)

    def is_known(self, params: Mapping[str, Any]) -> bool:
        """Whether a draw would be a duplicate that the study wants to avoid."""
        return self.study.search.duplicates == "avoid" and self.history.is_tried(params)
