"""What a trial will take, peak memory and minutes: a trainer's prior, corrected by the study's own finished trials.

A correction is one factor: prior times factor is the estimate. The logarithm of measured over prior is taken as normal
around the factor's, the factor's as normal around 0 with a standard deviation that says how far the prior may be off.
Its posterior mean is n t^2 / (n t^2 + s^2) of what was measured (shrinkage; Gelman et al., Bayesian Data Analysis,
section 2.5), for which the median and the median absolute deviation stand: one trial that waited for a busy machine
must not move it.

Training, and everything else about a trial, are corrected apart, since only the first grows with the steps.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optimizer.study import resolved as studies
from trainers.lora import footprint

#: standard deviations of the logarithm of how far priors are off: seconds depend on a machine nobody has seen,
#: memory was counted
_SECONDS_DOUBT, _MEMORY_DOUBT = 1.5, 0.2
#: ... and of seconds for a trainer that nothing is known of
_NO_PRIOR_DOUBT = 50.0
#: spread of trials of one study that is assumed before any was measured, and for how many trials that counts
_USUAL_SPREAD, _USUAL_TRIALS = 0.2, 2
#: what estimates are called in rules
NAMES = frozenset({"estimate.vram_gb", "estimate.minutes"})
#: the latest trials that count
NEWEST = 200
#: MAD of a normal distribution times this is its standard deviation
_MAD = 1.4826


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a finished trial took.

    Attributes:
        params: complete.
        steps: optimizer steps that were done.
        train_seconds: of all its attempts.
        other_seconds: loading, drawing and scoring, and launching where each trial has a process of its own; None
            where it never came to that.
        vram_gb: peak GiB, None where there is no GPU.
    """

    params: Mapping[str, Any]
    steps: int
    train_seconds: float
    other_seconds: float | None = None
    vram_gb: float | None = None


@dataclasses.dataclass(frozen=True)
class Correction:
    """A factor on a prior, and how many trials it rests on."""

    factor: float = 1.0
    trials: int = 0


@dataclasses.dataclass(frozen=True)
class Quality:
    """Mean absolute relative errors, each trial estimated from the others alone; None with fewer than two trials."""

    trials: int
    seconds_error: float | None
    vram_trials: int
    vram_error: float | None

    def sentence(self) -> str:
        """How good the estimates are, in words."""
        if not self.trials:
            return "not calibrated yet: a guess from published figures, until a trial has finished"
        said = [f"calibrated by {self.trials} finished trial{'s' if self.trials > 1 else ''}"]
        if self.seconds_error is not None:
            said.append(f"minutes off by {self.seconds_error:.0%} on average")
        if self.vram_error is not None:
            said.append(f"memory off by {self.vram_error:.0%}")
        elif self.vram_trials == 0:
            said.append("memory not measured")
        return ", ".join(said)


@dataclasses.dataclass(frozen=True)
class Estimator:
    """Estimates of one study's trials. `prior` is None for a trainer, or a base, of which nothing is known."""

    prior: footprint.Footprint | None
    on_gpu: bool
    measured: tuple[Measured, ...] = ()

    def facts(self, values: Mapping[str, Any], total_steps: Any) -> dict[str, Any]:
        """`estimate.vram_gb` and `estimate.minutes`, as far as they can be known.

        Args:
            values: complete parameters; each one value, or a column of shape (points,).
            total_steps: in the same form; None where it is not known.
        """
        known: dict[str, Any] = {}
        if self.prior is not None:
            known["estimate.vram_gb"] = self.prior.vram_gb(values) * self.memory.factor
        if total_steps is not None and (self.prior is not None or self.training.trials):
            known["estimate.minutes"] = self.seconds(values, total_steps) / 60
        return known

    def seconds(self, values: Mapping[str, Any], total_steps: Any) -> Any:
        """Seconds of whole trials."""
        return self.train_seconds(values, total_steps) + self._other_prior(values, total_steps) * self.other.factor

    def train_seconds(self, values: Mapping[str, Any], steps: Any) -> Any:
        """Seconds of so many optimizer steps."""
        return steps * self._step_prior(values) * self.training.factor

    def calibrated(self, measured: Sequence[Measured]) -> "Estimator":
        """The same estimator after other trials; the latest of them count."""
        return dataclasses.replace(self, measured=tuple(measured[-NEWEST:]))

    def is_close_to(self, other: "Estimator") -> bool:
        """Whether both say nearly the same, so that what followed from one still holds."""
        pairs = zip(self._corrections, other._corrections, strict=True)
        return all(abs(math.log(one.factor / two.factor)) < 0.02 for one, two in pairs)

    @property
    def _corrections(self) -> tuple[Correction, ...]:
        return self.training, self.other, self.memory

    @functools.cached_property
    def training(self) -> Correction:
        return _fit(self._train_ratios, self._seconds_doubt)

    @functools.cached_property
    def other(self) -> Correction:
        return _fit(self._other_ratios[~np.isnan(self._other_ratios)], self._seconds_doubt)

    @functools.cached_property
    def memory(self) -> Correction:
        return _fit(self._memory_ratios, _MEMORY_DOUBT)

    @functools.cached_property
    def quality(self) -> Quality:
        """How good the estimates are; costs a fit for each trial."""
        return Quality(
            trials=len(self.measured),
            seconds_error=self._seconds_error(),
            vram_trials=len(self._memory_ratios),
            vram_error=_left_out(self._memory_ratios, _MEMORY_DOUBT),
        )

    def _seconds_error(self) -> float | None:
        """Each trial's seconds from the others' factors, against what it took."""
        if len(self.measured) < 2:
            return None
        training = _factors_without(self._train_ratios, self._seconds_doubt)
        has_other = ~np.isnan(self._other_ratios)
        other = np.zeros(len(self.measured))
        other[has_other] = _factors_without(self._other_ratios[has_other], self._seconds_doubt)
        train_priors = np.array([each.steps * self._step_prior(each.params) for each in self.measured])
        other_priors = np.array([self._other_prior(each.params, each.steps) for each in self.measured])
        took = np.array([each.train_seconds + (each.other_seconds or 0.0) for each in self.measured])
        return float(np.mean(np.abs(training * train_priors + other * other_priors - took) / took))

    @functools.cached_property
    def _train_ratios(self) -> Any:
        """Logarithms of measured over prior seconds, (trials,)."""
        return np.log([each.train_seconds / (each.steps * self._step_prior(each.params)) for each in self.measured])

    @functools.cached_property
    def _other_ratios(self) -> Any:
        """The same for everything but training; NaN where a trial never came to that."""
        return np.log(
            [(each.other_seconds or math.nan) / self._other_prior(each.params, each.steps) for each in self.measured]
        )

    @functools.cached_property
    def _memory_ratios(self) -> Any:
        seen = [each for each in self.measured if each.vram_gb]
        if self.prior is None:
            return np.empty(0)
        return np.log([each.vram_gb / self.prior.vram_gb(each.params) for each in seen])

    @property
    def _seconds_doubt(self) -> float:
        return _NO_PRIOR_DOUBT if self.prior is None else _SECONDS_DOUBT

    def _step_prior(self, values: Mapping[str, Any]) -> Any:
        return 1.0 if self.prior is None else self.prior.step_seconds(values, on_gpu=self.on_gpu)

    def _other_prior(self, values: Mapping[str, Any], total_steps: Any) -> Any:
        return 1.0 if self.prior is None else self.prior.other_seconds(values, total_steps, on_gpu=self.on_gpu)


def of(study: studies.Study, *, on_gpu: bool) -> Estimator:
    """The estimator of a study before any of its trials has finished."""
    return Estimator(study.declared.footprint(study.base, study.evaluation), on_gpu)


def _fit(ratios: Any, doubt: float) -> Correction:
    """The factor that logarithms of measured over prior, shape (trials,), speak for."""
    trials = len(ratios)
    if not trials:
        return Correction()
    middle = float(np.median(ratios))
    spread = _MAD * float(np.median(np.abs(ratios - middle)))
    variance = (trials * spread**2 + _USUAL_TRIALS * _USUAL_SPREAD**2) / (trials + _USUAL_TRIALS)
    share = trials * doubt**2 / (trials * doubt**2 + variance)
    return Correction(math.exp(share * middle), trials)


def _factors_without(ratios: Any, doubt: float) -> Any:
    """For each trial the factor that the others speak for, shape (trials,)."""
    return np.array([_fit(np.delete(ratios, at), doubt).factor for at in range(len(ratios))])


def _left_out(ratios: Any, doubt: float) -> float | None:
    """Mean absolute relative error of each trial's estimate from the others."""
    if len(ratios) < 2:
        return None
    return float(np.mean(np.abs(_factors_without(ratios, doubt) / np.exp(ratios) - 1)))
