"""A trial whose point and seed were trained before takes that result over; training them again would tell nothing."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from optimizer import attributes
from optimizer.results import fresh
from optimizer.trials import rows as trial_rows
from storage import errors, leases, results

logger = logging.getLogger(__name__)


def outcomes(
    trials: Iterable[optuna.trial.FrozenTrial], sampled: Mapping[str, Any]
) -> Iterator[optuna.trial.FrozenTrial]:
    """Trials of this very point that came to a result, usable or not; one that was stopped early has none."""
    for trial in trials:
        if trial.params == sampled and fresh.has_outcome(trial) and not attributes.is_stopped_early(trial):
            yield trial


def is_being_trained(running: Iterable[optuna.trial.FrozenTrial], sampled: Mapping[str, Any]) -> bool:
    """Whether the first training of this very point is going on; its repeats have seeds of their own."""
    return any(trial.params == sampled and not attributes.repeat_of(trial.user_attrs) for trial in running)


def take_over(rows: trial_rows.Rows, lease: leases.Lease, source: optuna.trial.FrozenTrial) -> None:
    """Tell a trial what the one before it came to; a lease that was lost leaves it to its new holder."""
    number = lease.trial_number
    try:
        with rows.telling(lease) as writing:
            result = results.of_trial(writing.connection, rows.study_id, source.number)
            if result is not None:
                results.record(writing.connection, lease, dataclasses.replace(result, trial_number=number))
            writing.end(
                number,
                source.state,
                values=source.values if source.state is TrialState.COMPLETE else None,
                attributes={**source.user_attrs, attributes.TAKEN_FROM: source.number},
                constraints=source.constraints,
            )
    except (errors.LeaseLost, errors.TrialEnded) as error:
        logger.warning("trial %d is not told: %s", number, error, extra={"trial": number})
        return
    logger.info("trial %d takes over the result of trial %d", number, source.number)
