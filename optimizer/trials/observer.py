"""What a worker tells whoever watches: the terminal, a log, a test."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from constraints.judging import verdict as verdicts
from optimizer.trials import conclusion as score
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

    def concluded(self, trial: int, conclusion: score.Conclusion) -> None:
        """An attempt came to its end and, if it is final, Optuna has been told."""


class Silent:
    """An observer for nobody."""

    def refused(self, refusals: Sequence[verdicts.Verdict]) -> None: ...

    def noticed(self, sentence: str) -> None: ...

    def started(self, trial: int, params: Mapping[str, Any], *, taken_up: bool) -> None: ...

    def event(self, trial: int, event: events.Event) -> None: ...

    def concluded(self, trial: int, conclusion: score.Conclusion) -> None: ...
