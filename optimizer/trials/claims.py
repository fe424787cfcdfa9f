"""What a worker is given when it asks for work: a trial to run, a refusal that took its place, or nothing."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from constraints.judging import verdict as verdicts
from optimizer import attributes
from optimizer.trials import duplicates
from storage import leases


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this worker alone may run and tell.

    Attributes:
        params: complete: fixed and sampled.
        seed: of its training; a repeat has another one than the trial it repeats.
        same_as: a trial of the same point and seed that has ended: its result is this one's, nothing needs to be run.
    """

    number: int
    params: Mapping[str, Any]
    lease: leases.Lease
    taken_up: bool
    seed: int
    same_as: optuna.trial.FrozenTrial | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What the trainer is told: the parameters, with this training's own seed where a study sets one itself."""
        return {**self.params, "seed": self.seed} if "seed" in self.params else dict(self.params)


@dataclasses.dataclass(frozen=True)
class Refused:
    """A point that the rules refused; `number` is its PRUNED trial, where it has one."""

    params: Mapping[str, Any]
    verdict: verdicts.Verdict
    number: int | None


@dataclasses.dataclass(frozen=True)
class Nothing:
    """There is nothing to do, and in words why."""

    why: str


@dataclasses.dataclass(frozen=True)
class Maker:
    """From a trial that is held to its claim.

    Attributes:
        fixed: the study's parameters that are not sampled.
        seed: of a point's first training, where no parameter is called so.
        takes_over: whether a point and seed that were trained before hand their result on.
    """

    fixed: Mapping[str, Any]
    seed: int
    takes_over: bool

    def begun(
        self, lease: leases.Lease, sampled: Mapping[str, Any], said: Mapping[str, Any], *, taken_up: bool = False
    ) -> Claim:
        """A claim that has to be trained.

        Args:
            sampled: the trial's own parameters.
            said: its user attributes.
        """
        params = {**self.fixed, **sampled}
        return Claim(lease.trial_number, params, lease, taken_up, self._seed(params, said))

    def asked(
        self,
        lease: leases.Lease,
        sampled: Mapping[str, Any],
        said: Mapping[str, Any],
        trials: Sequence[optuna.trial.FrozenTrial],
    ) -> Claim:
        """The claim of a point that somebody asked for, which may have been trained before, as one of `trials`."""
        claim = self.begun(lease, sampled, said)
        if not self.takes_over:
            return claim
        outcomes = duplicates.outcomes(trials, sampled)
        same = next((each for each in outcomes if self._seed(claim.params, each.user_attrs) == claim.seed), None)
        return dataclasses.replace(claim, same_as=same)

    def _seed(self, params: Mapping[str, Any], said: Mapping[str, Any]) -> int:
        return int(params.get("seed", self.seed)) + attributes.repeat_of(said)
