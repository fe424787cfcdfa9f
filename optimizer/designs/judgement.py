"""What stands against a point of a study: its rules, and what its trainer cannot train."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from constraints.judging import verdict as verdicts
from constraints.rules import ruleset as rulesets
from optimizer.forecast import situation as situations
from optimizer.study import resolved as studies

#: what refuses a point that its trainer cannot train, beside the study's rules; no rule's id holds a colon
UNTRAINABLE = "trainer:cannot-train"


@dataclasses.dataclass(frozen=True)
class Admission:
    """What a point must meet to be trained: a study's rules and what its trainer can train, by what is known.

    It never changes; newer rules, or better estimates, are another one.
    """

    study: studies.Study
    rules: rulesets.RuleSet
    situation: situations.Situation

    def judge(self, params: Mapping[str, Any]) -> verdicts.Verdict:
        """What the rules and the trainer say of a point (sampled parameters; the fixed ones are added)."""
        point = studies.complete(self.study, params)
        verdict = self.rules.check_point(params, facts=self.situation.facts(point))
        problems = self.study.declared.contradicted(self.situation.counter.beside(point))
        return _untrainable(verdict, problems) if problems else verdict

    def weigh(self, columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """The same for a table of points, shape (points,): 0 refused, 1 accepted, between them discouraged."""
        points = {**self.study.fixed, **columns}
        judged = self.rules.check(columns, facts=self.situation.facts(points))
        known = self.situation.counter.beside(points)
        trainable = ~self.study.declared.contradicted_points(known, len(judged.weight))
        weights: npt.NDArray[np.float64] = np.where(judged.accepted & trainable, judged.weight, 0.0)
        return weights


def _untrainable(verdict: verdicts.Verdict, problems: Sequence[str]) -> verdicts.Verdict:
    """A verdict with the trainer's own refusal last; how far outside a contradiction is cannot be said."""
    return verdict._replace(
        verdict="refused",
        refused_by=(*verdict.refused_by, UNTRAINABLE),
        violations={**verdict.violations, UNTRAINABLE: 1.0},
        undecided={**verdict.undecided, UNTRAINABLE: f"the trainer cannot train this: {'; '.join(problems)}"},
    )
