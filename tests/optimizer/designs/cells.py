"""A design beside the search, for tests: given cells in their order, each run once, as a grid or a sweep is."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from optimizer.designs import design, judgement
from optimizer.study import space


@dataclasses.dataclass
class Cells:
    admission: judgement.Admission
    cells: Sequence[Mapping[str, Any]]
    _taken: set[space.Point] = dataclasses.field(default_factory=set)

    def learn(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        self._taken = {space.point(trial.params) for trial in trials}

    def follow(self, admission: judgement.Admission) -> None:
        self.admission = admission

    def next(self) -> design.Proposal | design.Exhausted:
        refused: list[design.RefusedPoint] = []
        for cell in self.cells:
            verdict = self.admission.judge(cell)
            if verdict.refused_by:
                refused.append((cell, verdict))
            elif space.point(cell) not in self._taken:
                return design.Proposal(cell, verdict=verdict, refused=tuple(refused))
        return design.Exhausted("every cell has been run", tuple(refused))

    def again(self, proposal: design.Proposal) -> design.Proposal | None:
        is_free = space.point(proposal.params) not in self._taken
        return proposal if is_free and not self.admission.judge(proposal.params).refused_by else None

    def fill(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**self.cells[0], **given}
