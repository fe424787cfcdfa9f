"""Points that people enqueue: taken as they are, and where they leave parameters out, filled in under the rules."""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna

from constraints import domain as domains
from optimizer import campaign as campaigns
from optimizer import sampler, space

#: where Optuna keeps the values that a person enqueued
_GIVEN = "fixed_params"


def complete(campaign: campaigns.Campaign, trial: optuna.Trial, waited: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """The sampled parameters of a trial that was asked for; those that nobody gave are drawn, and all are written.

    Args:
        waited: the trial as it stood when it was waiting.
    """
    if trial.params:
        return trial.params
    params = _filled(campaign, waited.system_attrs.get(_GIVEN, {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        campaign.optuna_study.sampler = optuna.samplers.PartialFixedSampler(params, optuna.samplers.RandomSampler())
    domain_of = campaign.study.space
    return {name: space.snap(domain_of[name], _suggest(trial, domain_of[name])) for name in params}


def _filled(campaign: campaigns.Campaign, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values with the others drawn beside them: the first draw that the rules accept, else the last one."""
    campaign.search.sketch.begin()
    try:
        for _ in range(sampler.USUAL_PATIENCE):
            params = dict(campaign.search.sketch.draw(given).params)
            if params.keys() <= given.keys() or not campaign.judge(params).refused_by:
                break
    finally:
        campaign.search.sketch.end()
    return params


def _suggest(trial: optuna.Trial, domain: domains.Domain) -> Any:
    """Write one parameter of a trial through Optuna; the value is the one that the study's sampler was given."""
    form = space.distribution(domain)
    if isinstance(form, optuna.distributions.CategoricalDistribution):
        return trial.suggest_categorical(domain.name, form.choices)
    if isinstance(form, optuna.distributions.IntDistribution):
        return trial.suggest_int(domain.name, form.low, form.high, log=form.log, step=form.step)
    assert isinstance(form, optuna.distributions.FloatDistribution)
    return trial.suggest_float(domain.name, form.low, form.high, log=form.log, step=form.step)
