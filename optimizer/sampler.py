"""Any Optuna sampler, made to obey the rules.

A `Sketch` is a study in memory that mirrors the real one. Points are drawn there through Optuna's public ask, so a
refused draw costs no database row and no round trip; only the accepted point is written. Refused drafts are told FAIL
*in the sketch*, which no sampler reads: the sampler learns from trials that trained, not from our refusals.

Redrawing alone could go on for ever when a sampler's density sits on refused ground (measured: a two-objective study
livelocked in 16 of 16 seeds), so after `PATIENCE` refused draws the point comes from a quasi-random reservoir of
feasible points.
"""

import dataclasses
import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from scipy.stats import qmc

from constraints import domain as domains
from constraints import ruleset as rulesets
from constraints import verdict as verdicts
from optimizer import errors, facts, space, study

logger = logging.getLogger(__name__)

#: refused draws in a row before the reservoir is asked
PATIENCE = 200
#: quasi-random points that are looked at before a space is called empty in practice: 2^20, in blocks
RESERVOIR_POINTS = 2**20
RESERVOIR_BLOCK = 2**14


@dataclasses.dataclass(frozen=True)
class Draft:
    """A drawn point and its verdict. `params` are the sampled ones, `attributes` the sampler's own notes."""

    params: Mapping[str, Any]
    verdict: verdicts.Verdict
    attributes: Mapping[str, Any]


def make(name: str, *, seed: int, objectives: int, startup_trials: int) -> optuna.samplers.BaseSampler:
    """The Optuna sampler that a study file names.

    Raises:
        errors.BadInput: the sampler cannot serve this number of objectives.
    """
    match name:
        case "tpe":
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=startup_trials
            )
        case "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup_trials)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "qmc":
            return optuna.samplers.QMCSampler(scramble=True, seed=seed)
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        case "cmaes":
            if objectives > 1:
                raise errors.BadInput("search.sampler: cmaes knows one objective; use tpe, gp or nsga2 for several")
            return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=startup_trials)
    raise errors.BadInput(f"search.sampler: there is no sampler {name!r}")


class Sketch:
    """A study in memory that mirrors a real one and draws points that the rules accept.

    Not thread-safe: a worker owns one. Proposing reads the real study's trials (`learn`) and nothing else.
    """

    def __init__(
        self,
        sampler: optuna.samplers.BaseSampler,
        directions: Sequence[study.Direction],
        parameters: Mapping[str, domains.Domain],
        seed: int,
    ) -> None:
        self._parameters = parameters
        self._study = optuna.create_study(sampler=sampler, directions=list(directions))
        self._random = random.Random(seed)  # noqa: S311 - draws soft rules' acceptance, not a secret
        self._seed = seed
        self._known: set[int] = set()
        self._running: dict[int, int] = {}
        self._reservoir_drawn = 0

    def learn(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Take over what the real study holds: finished trials once, running ones as stand-ins."""
        for trial in trials:
            if trial.number in self._known or trial.state == optuna.trial.TrialState.WAITING:
                continue
            running = trial.state == optuna.trial.TrialState.RUNNING
            if running and (trial.number in self._running or not trial.params):
                continue
            if not running and trial.number in self._running:
                # a running trial's stand-in ends as FAIL, which no sampler reads; the finished one is added below
                self._study.tell(self._running.pop(trial.number), state=optuna.trial.TrialState.FAIL)
            self._study.add_trial(trial)
            if running:
                self._running[trial.number] = self._study.get_trials(deepcopy=False)[-1].number
            else:
                self._known.add(trial.number)

    def draw(
        self,
        judge: Callable[[Mapping[str, Any]], verdicts.Verdict],
        is_active: Callable[[domains.Domain, Mapping[str, Any]], bool],
    ) -> Draft:
        """Draw one point, whatever the rules say of it."""
        trial = self._study.ask()
        params = space.draw(trial, self._parameters, is_active)
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        attributes = {key: value for key, value in frozen.system_attrs.items() if not key.startswith("tpe:")}
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return Draft(params, judge(params), attributes)

    def keeps(self, verdict: verdicts.Verdict) -> bool:
        """Whether an accepted draw is kept: soft rules are acceptance probabilities."""
        return verdict.verdict != "refused" and self._random.random() < verdict.weight

    def from_reservoir(
        self,
        rules: rulesets.RuleSet,
        situation: facts.Situation,
        fixed: Mapping[str, Any],
        judge: Callable[[Mapping[str, Any]], verdicts.Verdict],
        is_active: Callable[[domains.Domain, Mapping[str, Any]], bool],
    ) -> Draft:
        """The next feasible point of a quasi-random sequence over the whole space.

        Raises:
            errors.NothingFeasible: none of `RESERVOIR_POINTS` points is accepted.
        """
        sequence = qmc.Sobol(d=len(self._parameters), scramble=True, rng=self._seed)
        if self._reservoir_drawn:
            sequence.fast_forward(self._reservoir_drawn)
        start = self._reservoir_drawn
        while self._reservoir_drawn - start < RESERVOIR_POINTS:
            block = sequence.random(RESERVOIR_BLOCK)
            points = [_point(row, self._parameters, is_active) for row in block]
            accepted = _accepted(points, rules, situation, fixed, self._parameters)
            hits = np.flatnonzero(accepted)
            if hits.size:
                self._reservoir_drawn += int(hits[0]) + 1
                params = points[int(hits[0])]
                return Draft(params, judge(params), {})
            self._reservoir_drawn += RESERVOIR_BLOCK
        raise errors.NothingFeasible(
            f"none of {RESERVOIR_POINTS} quasi-random points of the space is accepted; "
            "`tuneguard rules check FILE --study STUDY.yaml` names the rules that clash"
        )


def _point(
    row: np.ndarray,
    parameters: Mapping[str, domains.Domain],
    is_active: Callable[[domains.Domain, Mapping[str, Any]], bool],
) -> dict[str, Any]:
    """A row of the unit cube, shape (parameters,), as a point of the space."""
    point: dict[str, Any] = {}
    for share, (name, domain) in zip(row, parameters.items(), strict=True):
        if domain.when is None or is_active(domain, point):
            point[name] = at_share(domain, float(share))
    return point


def at_share(domain: domains.Domain, share: float) -> Any:
    """The value at a share in [0, 1) of a domain: uniform over choices and steps, log-uniform where it is log."""
    count = domain.points()
    if math.isfinite(count):
        if domain.log:
            low, high = math.log(domain.low), math.log(domain.high + 1)
            return min(int(domain.high), int(math.exp(low + share * (high - low))))
        return domain.value_at(int(share * count))
    if domain.log:
        return math.exp(math.log(domain.low) + share * (math.log(domain.high) - math.log(domain.low)))
    return domain.low + share * (domain.high - domain.low)


def _accepted(
    points: Sequence[Mapping[str, Any]],
    rules: rulesets.RuleSet,
    situation: facts.Situation,
    fixed: Mapping[str, Any],
    parameters: Mapping[str, domains.Domain],
) -> np.ndarray:
    """Which points the rules accept, shape (points,)."""
    known = [situation.facts({**fixed, **point}) for point in points]
    names = known[0].keys() if known else ()
    columns = {name: np.array([fact.get(name, np.nan) for fact in known]) for name in names}
    return rules.check(space.columns(points, parameters), facts=columns).accepted
