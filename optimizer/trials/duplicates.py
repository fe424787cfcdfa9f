"""A trial whose point and seed were trained before takes that result over; training them again would tell nothing."""

import dataclasses
import logging

import optuna

from optimizer.results import records
from optimizer.trials import campaign as campaigns
from optimizer.trials import propose
from storage import errors, leases, results

logger = logging.getLogger(__name__)

State = optuna.trial.TrialState


def take_over(campaign: campaigns.Campaign, claim: propose.Claim) -> None:
    """Tell a claimed trial what the one before it came to; a lease that was lost leaves it to its new holder."""
    source = claim.same_as
    assert source is not None
    try:
        with leases.telling(campaign.database, claim.lease) as connection:
            campaign.follow(connection)
            result = results.of_trial(connection, campaign.study_id, source.number)
            if result is not None:
                results.record(connection, claim.lease, dataclasses.replace(result, trial_number=claim.number))
            campaign.end_trial(
                connection,
                claim.number,
                source.state,
                values=source.values if source.state is State.COMPLETE else None,
                attributes={**source.user_attrs, records.TAKEN_FROM: source.number},
                constraints=source.constraints,
            )
    except (errors.LeaseLost, errors.TrialEnded) as error:
        logger.warning("trial %d is not told: %s", claim.number, error, extra={"trial": claim.number})
        return
    logger.info("trial %d takes over the result of trial %d", claim.number, source.number)
