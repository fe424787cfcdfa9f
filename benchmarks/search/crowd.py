"""Many workers on one study: processes on loopback that claim and tell, without training."""

import multiprocessing
import multiprocessing.synchronize
import pathlib
import time

import optuna
import sqlalchemy as sa

from benchmarks.search import latency, world
from optimizer import opening
from optimizer.results import reading
from optimizer.trials import beginning, claims


def run(workers: int, trials: int) -> str:
    """Let `workers` processes share `trials`; returns what came of it in Markdown.

    Raises:
        AssertionError: a number came twice, a proposal was lost, or the budget was not kept.
    """
    with world.services() as opened:
        spec = world.study("crowd")
        spec = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})
        with opened.database.transaction() as connection:
            beginning.keep_study(connection, spec)
        opened.database.close()
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(workers + 1)
        told: multiprocessing.Queue[list[int]] = context.Queue()
        arguments = (str(opened.settings.home), trials, ready, told)
        processes = [context.Process(target=_work, args=arguments) for _ in range(workers)]
        for process in processes:
            process.start()
        ready.wait()
        began = time.perf_counter()
        most = _most_connections(opened, processes)
        seconds = time.perf_counter() - began
        numbers = [told.get(timeout=60) for _ in processes]
        for process in processes:
            process.join()
        claimed = sorted(number for each in numbers for number in each)
        found = reading.open_optuna(opened.database, opened.optuna_storage, spec).get_trials(deepcopy=False)
    assert claimed == list(range(trials)), f"claimed {claimed}"
    assert [trial.number for trial in found] == list(range(trials))
    assert all(trial.state is optuna.trial.TrialState.COMPLETE for trial in found)
    points = {tuple(sorted(trial.params.items())) for trial in found}
    assert len(points) == trials, f"{trials - len(points)} points came twice"
    return (
        f"{workers} workers, {trials} trials: every number once, every trial told, {len(points)} different points; "
        f"{seconds / trials * 1000:.0f} ms a trial for all together; at most {most} connections "
        f"({most / workers:.1f} a worker); the busiest worker told {max(map(len, numbers))}, the idlest "
        f"{min(map(len, numbers))}."
    )


def _work(
    home: str, trials: int, ready: multiprocessing.synchronize.Barrier, told: "multiprocessing.Queue[list[int]]"
) -> None:
    opened = world.open_services(pathlib.Path(home))
    spec = world.study("crowd")
    spec = spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})
    worker = world.open_worker(opened, spec)
    ready.wait()
    numbers: list[int] = []
    while isinstance(claim := worker.proposer.claim(), claims.Claim):
        assert not claim.taken_up, f"trial {claim.number} was claimed twice"
        latency.finish(worker, claim, [claim.number / trials, 1.0])
        numbers.append(claim.number)
    told.put(numbers)


def _most_connections(opened: opening.Services, processes: "list[multiprocessing.context.SpawnProcess]") -> int:
    """The most connections of all workers together, looked at until they are done."""
    most = 0
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    )
    while any(process.is_alive() for process in processes):
        with opened.database.transaction() as connection:
            most = max(most, connection.execute(query).scalar_one())
        time.sleep(0.2)
    return most
