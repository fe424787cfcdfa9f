"""Working on a study in this process: from the first proposal to the last trial, stopped cleanly by Ctrl-C."""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator, Sequence

from optimizer import opening, wiring
from optimizer.results import records
from optimizer.running import crew as crews
from optimizer.running import launch, progress, worker
from optimizer.study import resolved as studies
from storage import errors as storage_errors
from storage import workers


@dataclasses.dataclass(frozen=True)
class SessionEnd:
    """How a session ended: what was done, whether somebody asked it to stop, and until how many trials it worked."""

    #: under the name that it has by now
    study: studies.Study
    tally: worker.Tally
    stopped: bool
    until: int


def run(
    services: opening.Services,
    study: studies.Study,
    devices: Sequence[launch.Device],
    *,
    add_trials: int | None = None,
    until: int | None = None,
    quiet: bool = False,
) -> SessionEnd:
    """Create or go on with a study and work on it.

    Args:
        services: database, Optuna's storage, artifacts.
        study: what is tried.
        devices: what is trained on: the first one by this process, each further one by a worker process beside it.
        add_trials: spend that many trials beyond those that are there.
        until: work until the study has that many trials; without either, the study file's own number counts.
        quiet: show nothing.

    Raises:
        errors.BadInput: the study, its rules or its dataset are wrong.
        errors.NothingFeasible: the rules leave no point.
    """
    here = wiring.open_worker(services, study, devices[0])
    proposer, rows, trainer = here.proposer, here.rows, here.attempts.launcher
    if until is not None:
        proposer.budget = until
    if add_trials is not None:
        proposer.look()
        proposer.budget = proposer.roster.spent - len(proposer.roster.waiting) + add_trials

    def trials() -> list[records.TrialRecord]:
        with contextlib.suppress(storage_errors.StudyGone):  # the worker itself will say so
            return records.read(rows.read(), list(study.objectives))
        return []

    shown = progress.Progress(study, proposer.budget, trials, quiet=quiet)
    crew = crews.start(rows.name, services.settings.runs / rows.stored.folder, proposer.budget, devices[1:])
    with stop_signals() as stop, shown:
        here.observer.watching.append(shown)

        def should_stop() -> bool:
            crew.tell_failed()  # asked all the time, so a worker that dies is named at once
            return stop.is_set()

        try:
            trainer.warm_up()
            tally = here.work(should_stop)
            while not should_stop() and crew.is_working():
                stop.wait(0.2)
        finally:
            trainer.close()
            crew.stop()
            with contextlib.suppress(storage_errors.DatabaseUnreachable):  # one that is silent is known to be gone
                workers.leave(services.database, rows.worker_id)
    crew.tell_failed()
    study = study.model_copy(update={"id": rows.study_id, "name": rows.name})
    return SessionEnd(study, tally, stop.is_set(), proposer.budget)


@contextlib.contextmanager
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
