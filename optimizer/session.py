"""Working on a study in this process: from the first proposal to the last trial, stopped cleanly by Ctrl-C."""

import dataclasses
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optimizer import launch, observer, progress, propose, wiring, worker
from optimizer import study as studies
from storage import workers


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a session ended: what was done, and whether somebody asked it to stop."""

    tally: worker.Tally
    stopped: bool


def run(
    services: wiring.Services,
    study: studies.Study,
    device: launch.Device,
    *,
    add_trials: int | None = None,
    quiet: bool = False,
) -> Ending:
    """Create or go on with a study and work on it.

    Args:
        services: database, Optuna's storage, artifacts.
        study: what is tried.
        device: what this worker trains on.
        add_trials: spend that many trials beyond those that are there; None: up to the study file's own number.
        quiet: show nothing.

    Raises:
        errors.BadInput: the study, its rules or its dataset are wrong.
        errors.NothingFeasible: the rules leave no point.
    """
    campaign = wiring.open_campaign(services, study, device, observer.Silent())
    if add_trials is not None:
        campaign.budget = propose.spent(campaign) + add_trials
    launcher = wiring.trainer_process(services.settings, study, device)
    shown = progress.Progress(study, campaign.budget, wiring.trial_records(services, study), quiet=quiet)
    with stop_signals() as stop, shown:
        campaign.observer = shown
        try:
            launcher.warm_up()
            tally = worker.work(campaign, launcher, device, stop.is_set)
        finally:
            launcher.close()
            workers.leave(services.database, campaign.worker_id)
    return Ending(tally, stop.is_set())


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second SIGINT ends the process at once, as usual."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
