"""What refusals and early stops have saved.

A refused point is charged what its trial is estimated to take (`optimizer.forecast.estimates`, corrected by this
study's own finished trials); an early stop what it had left. The estimate says nothing about how good those trials
would have been: it is time not spent, not loss avoided. And it is an upper bound: a search that trained refused points
would have learned from them and come back less often.
"""

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Spent:
    """A trial that trained: its seconds in all, and those and the steps that an early end spared, 0 for a whole one."""

    seconds: float
    spared_seconds: float = 0.0
    spared_steps: int = 0


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Minutes of device time. `basis` says in words what the estimate rests on.

    `doubts` say why what is called saved may not be: one rule ended or refused nearly everything.
    """

    spent_minutes: float
    refused: int
    refused_minutes: float
    stopped: int
    stopped_minutes: float
    stopped_steps: int
    basis: str
    doubts: tuple[str, ...] = ()

    def sentence(self) -> str:
        """The ledger in one line, and one for each doubt."""
        said = (
            f"device time: {self.spent_minutes:.1f} min spent; saved, estimated: up to {self.refused_minutes:.1f} min "
            f"by {self.refused} refusals, {self.stopped_minutes:.1f} min by {self.stopped} early stops "
            f"({self.stopped_steps} steps) ({self.basis})"
        )
        return "\n".join([said, *(f"look at this: {doubt}" for doubt in self.doubts)])


def balance(
    trained: Sequence[Spent],
    refused: int,
    refused_seconds: Sequence[float],
    basis: str,
    doubts: Sequence[str] = (),
) -> Ledger:
    """Add up what was spent and what was saved.

    Args:
        trained: trials that ran, whole or stopped early.
        refused: points that were refused.
        refused_seconds: what some of them would have taken, NaN where that is not known; the rest is charged the mean.
        basis: what estimates rest on, in words.
        doubts: why what is called saved may not be, a line each.
    """
    known = [seconds for seconds in refused_seconds if not math.isnan(seconds)]
    stopped = [trial for trial in trained if trial.spared_seconds > 0 or trial.spared_steps > 0]
    return Ledger(
        spent_minutes=sum(trial.seconds for trial in trained) / 60,
        refused=refused,
        refused_minutes=refused * sum(known) / len(known) / 60 if known else 0.0,
        stopped=len(stopped),
        stopped_minutes=sum(trial.spared_seconds for trial in stopped) / 60,
        stopped_steps=sum(trial.spared_steps for trial in stopped),
        basis=basis,
        doubts=tuple(doubts),
    )
