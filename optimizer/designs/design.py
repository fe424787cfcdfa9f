"""What a design is: it says what is to be tried next, and learns from what came of it. It has no database and no clock.

Whoever claims trials (`optimizer.trials.propose`) asks a design, writes what it proposes, and shows it the study's
trials again. So a design can be tried over a Python function, and two designs can stand in each other's place.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import optuna

from constraints.judging import verdict as verdicts
from optimizer.designs import judgement

#: a point that was refused, and what the rules said of it
RefusedPoint = tuple[Mapping[str, Any], verdicts.Verdict]


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A point that is to be tried next.

    Attributes:
        params: the sampled parameters.
        notes: what the design wants kept with the trial, and reads there again.
        verdict: of the point, where it was judged; a refused one stands here only where refused points become trials.
        refused: every other point that was refused on the way to this one.
        repeat: which training of the point this is: 0 is the first.
    """

    params: Mapping[str, Any]
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    verdict: verdicts.Verdict | None = None
    refused: tuple[RefusedPoint, ...] = ()
    repeat: int = 0


@dataclasses.dataclass(frozen=True)
class Exhausted:
    """Nothing is left to try: why, in words, and what was refused before that was found."""

    why: str
    refused: tuple[RefusedPoint, ...] = ()


class Design(Protocol):
    """What is to be tried next. Not thread-safe: a worker has one of its own."""

    def learn(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Take in all trials of the study as they stand, in the order of their numbers; some may be known already."""

    def follow(self, admission: judgement.Admission) -> None:
        """Go on under these rules and estimates; every proposal from here on is theirs."""

    def next(self) -> Proposal | Exhausted:
        """What is to be tried next, as far as is known. Asked twice, it may propose twice.

        Raises:
            optimizer.errors.NothingFeasible: the rules leave no point.
        """

    def again(self, proposal: Proposal) -> Proposal | None:
        """A proposal as it stands by what was learned since; None where somebody else has it, or it is refused.

        Proposals are made while others make theirs, and looked at again where only one looks at a time.
        """

    def fill(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """A whole point from one that a person began; what is given stands as it is."""
