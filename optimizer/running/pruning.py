"""What trials score at their milestones is kept, and the study's pruner is asked who goes on."""

import dataclasses

import optuna

from optimizer import attributes
from optimizer.designs.search import pruning
from optimizer.study import resolved as studies
from optimizer.trials import scores as trial_scores
from trainers.contract import events


@dataclasses.dataclass(frozen=True)
class Pruning:
    """Remembers what trials score, and ends those that fall behind others.

    Attributes:
        pruner: None where the study wants none; scores are kept all the same.
    """

    study: studies.Study
    pruner: optuna.pruners.BasePruner | None
    scores: trial_scores.TrialScores

    def look(self, number: int, event: events.Event) -> str | None:
        """Take in what a running trial told; returns whose wish it is that it ends here, or None.

        A milestone without a score that is a number says nothing: it is neither kept nor compared.
        """
        if event.event != "evaluated":
            return None
        metrics, milestone = event.data["metrics"], int(event.data["milestone"])
        score = metrics.get(self.study.primary)
        if not pruning.is_finite(score):
            return None
        try:
            self.scores.keep(number, milestone, float(score))
            for name, value in pruning.noted(self.study, milestone, metrics).items():
                self.scores.note(number, name, value)
            return self._wish(number)
        except (optuna.exceptions.UpdateFinishedTrialError, KeyError):
            # our lease ran out, and the trial's new holder has told it already; or the study is being renamed
            return None

    def _wish(self, number: int) -> str | None:
        if self.pruner is None:
            return None
        decision = pruning.decide(self.pruner, self.study, self.scores.read(), number)
        for name, value in decision.notes.items():
            self.scores.note(number, name, value)
        return f"{attributes.PRUNER}{self.study.search.pruner}" if decision.ends else None
