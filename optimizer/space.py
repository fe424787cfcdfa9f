"""The search space as Optuna and the rules see it: distributions, draws and columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from constraints import domain as domains

Distribution = optuna.distributions.BaseDistribution


def distributions(space: Mapping[str, domains.Domain]) -> dict[str, Distribution]:
    """Optuna's distribution for each domain, in the space's order."""
    return {name: distribution(domain) for name, domain in space.items()}


def distribution(domain: domains.Domain) -> Distribution:
    """Optuna's form of one domain. A stepped float ends at its last point, so Optuna has nothing to adjust."""
    if domain.kind == "choice":
        return optuna.distributions.CategoricalDistribution(domain.choices)
    if domain.kind == "int":
        return optuna.distributions.IntDistribution(
            int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1)
        )
    high = float(domain.value_at(int(domain.points()) - 1)) if domain.step else domain.high
    return optuna.distributions.FloatDistribution(domain.low, high, log=domain.log, step=domain.step)


def draw(trial: optuna.Trial, space: Mapping[str, domains.Domain], is_active: Callable[..., bool]) -> dict[str, Any]:
    """Ask a trial for each active parameter, parents first.

    Args:
        trial: an Optuna trial, on any storage.
        space: domains in dependency order.
        is_active: `is_active(domain, values)` says whether a conditional parameter is set under the values so far.

    Returns:
        The values, stepped floats snapped to the grid that the study file means.
    """
    values: dict[str, Any] = {}
    for name, domain in space.items():
        if domain.when is not None and not is_active(domain, values):
            continue
        values[name] = snap(domain, _suggest(trial, name, domain))
    return values


def _suggest(trial: optuna.Trial, name: str, domain: domains.Domain) -> Any:
    form = distribution(domain)
    if isinstance(form, optuna.distributions.CategoricalDistribution):
        return trial.suggest_categorical(name, form.choices)
    if isinstance(form, optuna.distributions.IntDistribution):
        return trial.suggest_int(name, form.low, form.high, log=form.log, step=form.step)
    assert isinstance(form, optuna.distributions.FloatDistribution)
    return trial.suggest_float(name, form.low, form.high, log=form.log, step=form.step)


def snap(domain: domains.Domain, value: Any) -> Any:
    """The nearest point of a stepped float's grid; Optuna's own arithmetic leaves 0.30000000000000004."""
    if domain.kind == "float" and domain.step and isinstance(value, float):
        return domain.value_at(round((value - domain.low) / domain.step))
    return value


def columns(points: Sequence[Mapping[str, Any]], space: Mapping[str, domains.Domain]) -> dict[str, np.ndarray]:
    """Points as columns of shape (points,); a parameter that is not set is NaN (numbers) or None (text)."""
    table: dict[str, np.ndarray] = {}
    for name, domain in space.items():
        text = domain.kind == "choice" and any(isinstance(choice, str) for choice in domain.choices or ())
        missing = None if text else np.nan
        values = [point.get(name, missing) for point in points]
        table[name] = np.array(values, dtype=object if text else float)
    return table
