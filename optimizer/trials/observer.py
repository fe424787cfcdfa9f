"""What a worker tells whoever watches: the terminal, a log, a test."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from constraints.judging import verdict as verdicts
from optimizer.trials import conclusion as conclusions
from trainers.contract import events


class Observer(Protocol):
    """Told of each thing as it happens; must return quickly and never raise."""

    def refused(self, refusals: Sequence[verdicts.Verdict]) -> None:
        """Points were refused before the next trial was found."""

    def noticed(self, sentence: str) -> None:
        """Something that a person wants to know, in a sentence, such as that newer rules cannot be used here."""

    def started(self, trial: int, params: Mapping[str, Any], *, taken_up: bool) -> None:
        """A trial begins, or goes on from where another attempt left it."""

    def event(self, trial: int, event: events.Event) -> None:
        """The trainer told something."""

    def concluded(self, trial: int, conclusion: conclusions.Conclusion) -> None:
        """An attempt came to its end and, if it is final, Optuna has been told."""


@dataclasses.dataclass(frozen=True)
class Audience:
    """An observer that passes on to those who watch by now, be it nobody."""

    watching: list[Observer] = dataclasses.field(default_factory=list)

    def refused(self, refusals: Sequence[verdicts.Verdict]) -> None:
        for each in self.watching:
            each.refused(refusals)

    def noticed(self, sentence: str) -> None:
        for each in self.watching:
            each.noticed(sentence)

    def started(self, trial: int, params: Mapping[str, Any], *, taken_up: bool) -> None:
        for each in self.watching:
            each.started(trial, params, taken_up=taken_up)

    def event(self, trial: int, event: events.Event) -> None:
        for each in self.watching:
            each.event(trial, event)

    def concluded(self, trial: int, conclusion: conclusions.Conclusion) -> None:
        for each in self.watching:
            each.concluded(trial, conclusion)
