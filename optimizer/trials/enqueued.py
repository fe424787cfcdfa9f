"""Points that people enqueue: taken as they are, and where they leave parameters out, filled in under the rules."""

from collections.abc import Mapping
from typing import Any

import optuna

from optimizer.designs.search import sketch as sampler
from optimizer.trials import campaign as campaigns

#: where Optuna keeps the values that a person enqueued
GIVEN = "fixed_params"


def complete(campaign: campaigns.Campaign, waiting: optuna.trial.FrozenTrial) -> Mapping[str, Any]:
    """The sampled parameters of a waiting trial; those that nobody gave are drawn.

    The first draw that is new and that the rules accept is taken, else the last one.
    """
    if waiting.params:
        return waiting.params
    given = waiting.system_attrs.get(GIVEN, {})
    campaign.search.sketch.begin()
    try:
        for _ in range(sampler.USUAL_PATIENCE):
            params = campaign.search.sketch.draw(given).params
            if params.keys() <= given.keys():
                break
            if not campaign.search.is_known(params) and not campaign.judge(params).refused_by:
                break
    finally:
        campaign.search.sketch.end()
    return params
