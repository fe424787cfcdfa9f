"""Any Optuna sampler, made to obey the rules.

A `Sketch` is a study in memory that mirrors the real one. Points are drawn there through Optuna's public sampler
interface, so a refused draw costs no database row, no round trip, and nothing that a sampler reads: samplers learn from
trials that trained, not from our refusals.

What a draw costs must not grow with the study, so the sketch holds at most `MOST_ROWS` rows: finished trials, stand-ins
for running ones, and the draft of each proposal. When it is full it is made anew from the best, the latest and an even
share of the others (`optimizer.designs.search.thinning`).
"""

import copy
import dataclasses
import math
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import optuna
from optuna.trial import TrialState

from constraints.judging import conditions as conditionals
from constraints.names import domain as domains
from constraints.names import world as worlds
from optimizer import errors
from optimizer.designs.search import thinning
from optimizer.study import space

#: rows at which the sketch is thinned, and how many finished trials it keeps then
MOST_ROWS = 600
KEPT_TRIALS = 300

#: draws before a proposal comes from the reservoir, at most and, after proposals for which that was so, at least. A
#: Gaussian process is fitted for each draw and, with the same trials, asks for nearly the same point again
PATIENCE = {"gp": 3}
USUAL_PATIENCE = 64
LEAST_PATIENCE = {"gp": 1}
USUAL_LEAST_PATIENCE = 4

#: notes that samplers leave for other workers' constant liar; the sketch makes its own
_PASSING_NOTES = ("tpe:relative_params", "gp:relative_params")


#: samplers that draw without regard to results
UNGUIDED = ("random", "qmc")


@dataclasses.dataclass(frozen=True)
class Draw:
    """A point that a sampler wants, and the notes it keeps with it (generations of NSGA-II, states of CMA-ES)."""

    params: Mapping[str, Any]
    notes: Mapping[str, Any]


def make(
    name: str, *, seed: int, objectives: int, startup_trials: int, conditional: bool
) -> optuna.samplers.BaseSampler:
    """The Optuna sampler that a study file names.

    Args:
        conditional: whether a parameter of the space depends on another one.

    Raises:
        errors.BadInput: the sampler cannot serve this number of objectives.
    """
    with warnings.catch_warnings():
        # `group` and a few sampler options are marked experimental; a person who names a sampler need not hear it
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(
                    seed=seed,
                    multivariate=True,
                    group=conditional,
                    constant_liar=True,
                    n_startup_trials=startup_trials,
                )
            case "gp":
                return optuna.samplers.GPSampler(
                    seed=seed, n_startup_trials=startup_trials, warn_independent_sampling=False
                )
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "qmc":
                return optuna.samplers.QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed)
            case "cmaes" if objectives == 1:
                return optuna.samplers.CmaEsSampler(
                    seed=seed, n_startup_trials=startup_trials, warn_independent_sampling=False
                )
            case "cmaes":
                raise errors.BadInput("search.sampler: cmaes knows one objective; use tpe, gp or nsga2 for several")
    raise errors.BadInput(f"search.sampler: there is no sampler {name!r}")


def notes(name: str) -> Sequence[str]:
    """What a person who names a sampler should know of it."""
    match name:
        case "gp" | "nsga2":
            return [f"{name} learns nothing from unusable trials (they are PRUNED); tpe does"]
        case "cmaes":
            return ["cmaes samples numbers only and knows no constraints; choices are drawn at random"]
    return []


class Sketch:
    """A study in memory that mirrors a real one and draws points for it.

    Not thread-safe: a worker owns one.

    Args:
        make_sampler: a new sampler, from a `seed`.
        directions: of the objectives, in their order.
        parameters: domains in dependency order.
        fixed: the study's other parameters, which conditions may name.
        seed: all chance in here follows from it.
        guided_from: number of results from which on the sampler follows them; None for samplers that never do.
    """

    def __init__(
        self,
        make_sampler: Callable[..., optuna.samplers.BaseSampler],
        directions: Sequence[worlds.Direction],
        parameters: Mapping[str, domains.Domain],
        fixed: Mapping[str, Any],
        seed: int,
        guided_from: int | None,
    ) -> None:
        self._guided_from = math.inf if guided_from is None else guided_from
        self._make_sampler = make_sampler
        self._directions = list(directions)
        self._parameters = parameters
        self._distributions = space.distributions(parameters)
        self._conditions = conditionals.Conditions(parameters, fixed)
        self._fixed = fixed
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - thins a history, no secret
        self._kept: list[optuna.trial.FrozenTrial] = []
        self._running: dict[int, int] = {}
        self._open(())

    def learn(
        self, finished: Sequence[optuna.trial.FrozenTrial], running: Sequence[optuna.trial.FrozenTrial] = ()
    ) -> None:
        """Take over what the real study holds.

        Args:
            finished: trials that have ended since the last call. Those that crashed teach nothing.
            running: all that run now; their parameters stand in for them, so that nobody draws beside them.
        """
        fresh = [trial for trial in finished if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        if self.rows + len(fresh) > MOST_ROWS:
            self._kept = thinning.thin([*self._kept, *fresh], self._directions, KEPT_TRIALS, self._random)
            self._open(self._kept)
        else:
            self._kept += fresh
            self._add(fresh)
        self._follow({trial.number: trial for trial in running if trial.params})

    def begin(self) -> None:
        """Begin a proposal: what was learned counts from here on."""
        self._draft = self._study.ask()
        self.rows += 1

    @property
    def is_guided(self) -> bool:
        """Whether draws follow from results, so that what the sampler wants says something."""
        return self._guided_from <= len(self._kept)

    def keeps(self, weight: float) -> bool:
        """Whether an accepted draw is kept: the weights of soft rules are acceptance probabilities."""
        return self._random.random() < weight

    def draw(self, given: Mapping[str, Any] = MappingProxyType({})) -> Draw:
        """One point as the sampler wants it, whatever the rules say of it; `given` values stand as they are."""
        sampler = self._study.sampler
        trial = self._study.get_trials(deepcopy=False)[self._draft.number]
        wanted = sampler.sample_relative(self._study, trial, sampler.infer_relative_search_space(self._study, trial))
        params: dict[str, Any] = {}
        for name, domain in self._parameters.items():
            if domain.when is not None and not self._conditions.is_active(name, {**self._fixed, **params}):
                continue
            value = given.get(name, wanted.get(name))
            if value is None or not domain.contains(value):
                value = self._alone(trial, name, domain)
            params[name] = space.snap(domain, value)
        notes = self._study.get_trials(deepcopy=False)[self._draft.number].system_attrs
        return Draw(params, {key: note for key, note in notes.items() if not key.startswith(_PASSING_NOTES)})

    def end(self) -> None:
        """End a proposal. Its draft is told FAIL, which no sampler reads; the real trial is learned when it runs."""
        self._study.tell(self._draft.number, state=TrialState.FAIL)

    def _alone(self, trial: optuna.trial.FrozenTrial, name: str, domain: domains.Domain) -> Any:
        if domain.points() == 1:
            return domain.low if domain.kind == "float" else domain.value_at(0)
        return self._study.sampler.sample_independent(self._study, trial, name, self._distributions[name])

    def _open(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Begin a study in memory with these trials; samplers remember their study, so it gets a new one."""
        self._study = optuna.create_study(sampler=self._make_sampler(seed=self._seed), directions=self._directions)
        self._seed += 1_000_003
        self.rows = 0
        self._running.clear()
        self._add(trials)

    def _add(self, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        for trial in trials:
            self._study.add_trial(trial if len(self._directions) == 1 else _without_curve(trial))
        self.rows += len(trials)

    def _follow(self, running: Mapping[int, optuna.trial.FrozenTrial]) -> None:
        """Stand-ins for the trials that run; one that ended is told FAIL, its result is learned by itself."""
        for number in self._running.keys() - running.keys():
            self._study.tell(self._running.pop(number), state=TrialState.FAIL)
        for number in sorted(running.keys() - self._running.keys()):
            self._running[number] = len(self._study.get_trials(deepcopy=False))
            self._add([running[number]])


def _without_curve(trial: optuna.trial.FrozenTrial) -> optuna.trial.FrozenTrial:
    """A trial without its scores at milestones: with several objectives samplers cannot say whose they are."""
    bare = copy.copy(trial)
    bare.intermediate_values = {}
    return bare
