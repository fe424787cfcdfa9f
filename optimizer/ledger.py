"""What refusals and early stops have saved, and how that was estimated.

Seconds of a trial are fitted as `fixed + per_step * steps` over this study's own finished trials (least squares on two
unknowns; with fewer than three different step counts, the mean). A refused point is charged what the fit says of its
steps; an early stop what it had left. The estimate says nothing about how good those trials would have been: it is time
not spent, not loss avoided.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

#: different step counts that a line needs before it is trusted
ENOUGH = 3


@dataclasses.dataclass(frozen=True)
class Spent:
    """A trial that trained: its optimizer steps, those it had planned, and its seconds in all."""

    steps: int
    planned: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Minutes of device time. `basis` says in words what the estimate rests on."""

    spent_minutes: float
    refused: int
    refused_minutes: float
    stopped: int
    stopped_minutes: float
    basis: str

    def sentence(self) -> str:
        """The ledger in one line."""
        return (
            f"device time: {self.spent_minutes:.1f} min spent; saved, estimated: {self.refused_minutes:.1f} min by "
            f"{self.refused} refusals, {self.stopped_minutes:.1f} min by {self.stopped} early stops ({self.basis})"
        )


def balance(trained: Sequence[Spent], refused_steps: Sequence[int | None]) -> Ledger:
    """Add up what was spent and what was saved.

    Args:
        trained: trials that ran, whole or stopped early.
        refused_steps: optimizer steps that each refused point would have run; None where they are not known.
    """
    whole = [trial for trial in trained if trial.steps >= trial.planned]
    stopped = [trial for trial in trained if trial.steps < trial.planned]
    fixed, per_step, basis = _fit(whole)
    mean_steps = float(np.mean([trial.planned for trial in trained])) if trained else 0.0
    refused = sum(fixed + per_step * (mean_steps if steps is None else steps) for steps in refused_steps)
    left = sum(per_step * (trial.planned - trial.steps) for trial in stopped)
    return Ledger(
        spent_minutes=sum(trial.seconds for trial in trained) / 60,
        refused=len(refused_steps),
        refused_minutes=refused / 60,
        stopped=len(stopped),
        stopped_minutes=left / 60,
        basis=basis,
    )


def _fit(whole: Sequence[Spent]) -> tuple[float, float, str]:
    """(fixed seconds, seconds a step, in words)."""
    if not whole:
        return 0.0, 0.0, "no trial has finished yet, so nothing can be estimated"
    steps = np.array([trial.steps for trial in whole], dtype=float)
    seconds = np.array([trial.seconds for trial in whole])
    if len(set(steps)) < ENOUGH:
        return float(seconds.mean()), 0.0, f"mean of {len(whole)} finished trials: {seconds.mean():.1f} s each"
    per_step, fixed = np.polyfit(steps, seconds, 1)
    per_step, fixed = max(0.0, float(per_step)), max(0.0, float(fixed))
    error = float(np.abs(fixed + per_step * steps - seconds).mean())
    return (
        fixed,
        per_step,
        (
            f"{fixed:.1f} s + {per_step * 1000:.0f} ms a step, fitted to {len(whole)} finished trials "
            f"(mean error {error:.1f} s)"
        ),
    )
