"""SMAC3 with ConfigSpace, told of the rules as far as its forbidden clauses can say them.

A rule on one parameter shortens its range; rules that compare parameters with values, and products of parameters of few
values, are forbidden clauses. What is left (a product of floats, a bound that follows another float) SMAC cannot know:
such a refused point costs a trial and is told as a crash at the worst cost, as training that fails is.
"""

import math
import pathlib
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ConfigSpace as cs
import numpy as np
import smac
from smac.runhistory import StatusType, TrialValue

from benchmarks.search import landscapes, regret
from constraints.names import domain as domains

Clauses = Sequence[Any]

NAME = "SMAC3, forbidden clauses"


def search(landscape: landscapes.Landscape, seed: int) -> regret.Outcome:
    """One search of SMAC's facade for hyperparameters, with its defaults for a budget."""
    under_rules = regret.open_search(landscape, seed)
    parameters = under_rules.admission.study.space
    told: list[float | None] = []
    refused = 0
    # its forest asks for processes of its own, which a process of a pool cannot have
    warnings.filterwarnings("ignore", message="Loky-backed parallel loops")
    with tempfile.TemporaryDirectory() as folder:
        facade = _facade(configuration_space(landscape.name, parameters, seed), seed, pathlib.Path(folder))
        while len(told) < regret.BUDGET:
            info = facade.ask()
            params = {name: _plain(info.config[name]) for name in parameters if name in info.config}
            is_refused = bool(under_rules.admission.judge(params).refused_by)
            loss = None if is_refused else landscape.loss(params)
            status = StatusType.CRASHED if loss is None else StatusType.SUCCESS
            facade.tell(info, TrialValue(cost=regret.NOTHING if loss is None else loss, status=status))
            told.append(loss)
            refused += is_refused
    return regret.outcome(told, refused)


def _facade(space: cs.ConfigurationSpace, seed: int, folder: pathlib.Path) -> smac.HyperparameterOptimizationFacade:
    scenario = smac.Scenario(
        space,
        deterministic=True,
        n_trials=regret.BUDGET,
        crash_cost=regret.NOTHING,
        seed=seed,
        output_directory=folder,
    )
    # points are asked for and told, so the target is never called
    return smac.HyperparameterOptimizationFacade(
        scenario, lambda config, seed: regret.NOTHING, logging_level=False, overwrite=True
    )


def _plain(value: Any) -> Any:
    """A value without numpy's type, as trials hold it."""
    return value.item() if isinstance(value, np.generic) else value


def configuration_space(name: str, parameters: Mapping[str, domains.Domain], seed: int) -> cs.ConfigurationSpace:
    """A landscape's space with the clauses that say its rules; choices of numbers and steps are ordered."""
    space = cs.ConfigurationSpace(seed=seed)
    for parameter, domain in parameters.items():
        space.add(_hyperparameter(domain, BOUNDS.get(name, {}).get(parameter, (domain.low, domain.high))))
    for condition in CONDITIONS.get(name, _nothing)(space):
        space.add(condition)
    for clause in FORBIDDEN[name](space):
        space.add(clause)
    return space


def _hyperparameter(domain: domains.Domain, bounds: tuple[float, float]) -> Any:
    if domain.kind == "choice" and domain.value_kind == "text":
        return cs.CategoricalHyperparameter(domain.name, domain.choices)
    if domain.kind == "choice" or (domain.kind == "float" and domain.step):
        return cs.OrdinalHyperparameter(domain.name, list(domain.grid()))
    if domain.kind == "int":
        return cs.UniformIntegerHyperparameter(domain.name, int(bounds[0]), int(bounds[1]), log=domain.log)
    return cs.UniformFloatHyperparameter(domain.name, *bounds, log=domain.log)


def _all(*clauses: Any) -> Any:
    return cs.ForbiddenAndConjunction(*clauses)


def _nothing(_: cs.ConfigurationSpace) -> Clauses:
    return ()


def _ridge(space: cs.ConfigurationSpace) -> Clauses:
    """The product of batch size and epochs; that of rate, alpha and rank has no clause."""
    batch, epochs = space["train_batch_size"], space["max_train_epochs"]
    return [
        _all(cs.ForbiddenEqualsClause(batch, size), cs.ForbiddenLessThanClause(epochs, math.ceil(16 / size)))
        for size in (1, 2, 3)
    ]


def _memory(space: cs.ConfigurationSpace) -> Clauses:
    """Every rule: memory as the largest batch of each rank and resolution."""
    batch = space["train_batch_size"]
    clauses = [
        _all(
            cs.ForbiddenEqualsClause(space["optimizer_type"], "Lion"),
            cs.ForbiddenGreaterThanClause(space["learning_rate"], 0.0002),
        )
    ]
    for dim in space["network_dim"].sequence:
        for resolution in space["resolution"].sequence:
            most = math.floor((14 - dim / 16) / (2 * (resolution / 512) ** 2))
            if most < batch.upper:
                clauses.append(
                    _all(
                        cs.ForbiddenEqualsClause(space["network_dim"], dim),
                        cs.ForbiddenEqualsClause(space["resolution"], resolution),
                        cs.ForbiddenInClause(batch, list(range(most + 1, batch.upper + 1))),
                    )
                )
    return clauses


def _schedule(space: cs.ConfigurationSpace) -> Clauses:
    """Noise offset and rate; that the highest rate follows the warm-up has no clause."""
    return [
        _all(
            cs.ForbiddenGreaterThanClause(space["noise_offset"], 0.1),
            cs.ForbiddenGreaterThanClause(space["learning_rate"], 0.0002),
        )
    ]


def _source(space: cs.ConfigurationSpace) -> Clauses:
    """Every hard rule that can fire in the space."""
    rate, epochs, warmup = space["learning_rate"], space["max_train_epochs"], space["lr_warmup_steps"]
    accumulation, ratio = space["gradient_accumulation_steps"], space["network_alpha_ratio"]
    high = [value for value in ratio.sequence if value >= 0.75]
    very_high = [value for value in ratio.sequence if value >= 0.85]
    unsafe = (
        cs.ForbiddenEqualsClause(epochs, 12),
        cs.ForbiddenEqualsClause(accumulation, 1),
        cs.ForbiddenEqualsClause(space["optimizer_type"], "AdamW8bit"),
        cs.ForbiddenInClause(warmup, [50, 100]),
    )
    return [
        _all(cs.ForbiddenEqualsClause(space["network_dim"], 256), cs.ForbiddenEqualsClause(epochs, 12)),
        _all(cs.ForbiddenGreaterThanClause(rate, 0.0001), cs.ForbiddenEqualsClause(warmup, 50)),
        _all(cs.ForbiddenEqualsClause(accumulation, 1), cs.ForbiddenGreaterThanClause(rate, 0.00011)),
        *(_all(cs.ForbiddenInClause(ratio, high), clause) for clause in unsafe),
        _all(cs.ForbiddenInClause(ratio, very_high), cs.ForbiddenGreaterThanClause(rate, 0.0001)),
    ]


def _restarts(space: cs.ConfigurationSpace) -> Clauses:
    return [cs.EqualsCondition(space["lr_scheduler_num_cycles"], space["lr_scheduler"], "cosine_with_restarts")]


FORBIDDEN: Mapping[str, Callable[[cs.ConfigurationSpace], Clauses]] = {
    "ridge": _ridge,
    "memory": _memory,
    "schedule": _schedule,
    "source": _source,
}
CONDITIONS: Mapping[str, Callable[[cs.ConfigurationSpace], Clauses]] = {"schedule": _restarts}
BOUNDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "memory": {"learning_rate": (1e-6, 0.0012)},
    "schedule": {"learning_rate": (0.000005, 1e-2)},
}
