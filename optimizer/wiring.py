"""The only place that constructs: services, a study and a device to a worker."""

import functools
import os
import socket

from optimizer import opening
from optimizer.designs.search import pruning as search_pruning
from optimizer.designs.search import search
from optimizer.forecast import readiness
from optimizer.running import attempt, launch, pruning, worker
from optimizer.study import resolved as studies
from optimizer.study import space
from optimizer.trials import beginning, claims, observer, propose, roster, tell
from optimizer.trials import rows as trial_rows
from optimizer.trials import standing as standings
from storage import studies as stored_studies
from storage import workers


def open_worker(services: opening.Services, study: studies.Study, device: launch.Device) -> worker.Worker:
    """A worker that has joined a study, which is stored first where it is new. Nobody watches it yet.

    Raises:
        errors.BadInput: something that the study names is missing or wrong here.
    """
    begun = beginning.join(services, study, readiness.demand(study))
    worker_id = workers.register(services.database, socket.gethostname(), os.getpid(), device.name, begun.environment)
    rows = trial_rows.Rows(services, begun.study, begun.stored, worker_id)
    audience = observer.Audience()
    attempts = attempt.Attempts(
        study=begun.study,
        rows=rows,
        book=begun.book,
        pruning=pruning.Pruning(begun.study, search_pruning.of(begun.study, begun.situation), rows.scores),
        settings=services.settings,
        launcher=_launcher(services, begun.study, begun.stored, device),
        device=device,
        observer=audience,
    )
    return worker.Worker(
        rows=rows,
        proposer=_proposer(begun, rows, audience),
        attempts=attempts,
        teller=tell.Teller(rows, begun.book, begun.study.launch.attempts),
        observer=audience,
        wait_seconds=services.settings.database_wait_seconds,
    )


def _proposer(begun: beginning.Begun, rows: trial_rows.Rows, audience: observer.Audience) -> propose.Proposer:
    wanted = begun.study.search
    return propose.Proposer(
        rows=rows,
        standing=standings.Standing(begun.book, begun.situation, rows.database, rows.study_id),
        begin=functools.partial(search.of, seed=begun.seed, taught=begun.taught),
        roster=roster.Roster(space.needed(begun.study.space), counts_refused=wanted.refusals == "prune"),
        maker=claims.Maker(begun.study.fixed, wanted.seed, takes_over=wanted.duplicates == "avoid"),
        budget=wanted.trials,
        observer=audience,
    )


def _launcher(
    services: opening.Services, study: studies.Study, stored: stored_studies.StudyRow, device: launch.Device
) -> launch.TrainerProcess:
    """The trainer process as the study asks for: warm over many trials, or fresh for each."""
    console = services.settings.runs / stored.folder / f"worker-{os.getpid()}.log"
    replace_after = 1 if study.launch.isolation == "process" else study.launch.replace_after
    return launch.TrainerProcess(device, study.trainer, console, replace_after)
