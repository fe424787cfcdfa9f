"""Workers on one study that are killed at any moment (SIGKILL): nothing may be lost, doubled or half-written."""

import multiprocessing
import os
import random
import signal
import time

import optuna
import sqlalchemy as sa

from benchmarks.search import latency, world
from optimizer import opening, settings
from optimizer.results import reading
from optimizer.study import resolved as studies
from optimizer.trials import beginning, claims

_LEASE_SECONDS = 1
_WORKERS = 4
#: seconds between two kills, on average
_EVERY = 0.25
#: results, leases that are still held, trials that a second worker took up
_COUNTS = (
    "SELECT count(*) FROM tuneguard_data.results",
    "SELECT count(*) FROM tuneguard_data.leases WHERE worker_id IS NOT NULL",
    "SELECT count(*) FROM tuneguard_data.results WHERE token > 1",
)


def run(trials: int) -> str:
    """Let workers share `trials` while one after another is killed and replaced; returns what came of it in Markdown.

    Raises:
        AssertionError: a trial or result was lost, came twice, or is half-written.
    """
    with world.services() as opened:
        spec = _study(trials)
        with opened.database.transaction() as connection:
            beginning.keep_study(connection, spec)
        opened.database.close()
        chance = random.Random(0)
        context = multiprocessing.get_context("fork")  # a worker works at once, so that kills hit it at work
        home = str(opened.settings.home)
        processes: list[multiprocessing.process.BaseProcess] = []
        kills, began = 0, time.perf_counter()
        while not processes or any(process.exitcode is None for process in processes[-_WORKERS:]):
            while sum(process.exitcode is None for process in processes) < _WORKERS:
                processes.append(context.Process(target=_work, args=(home, trials, len(processes))))
                processes[-1].start()
            time.sleep(chance.expovariate(1 / _EVERY))
            victim = chance.choice([process for process in processes if process.exitcode is None] or [processes[-1]])
            if victim.exitcode is None and victim.pid is not None:
                os.kill(victim.pid, signal.SIGKILL)
                kills += 1
                victim.join()
            if any(process.exitcode == 0 for process in processes):
                break
        for process in processes:
            process.join()
        seconds = time.perf_counter() - began
        time.sleep(2 * _LEASE_SECONDS)
        _work(home, trials, -1, leave=False)
        return _verdict(opened, trials, kills, seconds)


def _study(trials: int) -> studies.Study:
    spec = world.study("killed")
    return spec.model_copy(update={"search": spec.search.model_copy(update={"trials": trials})})


def _work(home: str, trials: int, seed: int, *, leave: bool = True) -> None:
    chance = random.Random(seed)
    read = settings.read({"TUNEGUARD_HOME": home, "TUNEGUARD_LEASE_SECONDS": str(_LEASE_SECONDS)})
    worker = world.open_worker(opening.services(read), _study(trials))
    while isinstance(claim := worker.proposer.claim(), claims.Claim):
        time.sleep(chance.random() * 0.05)
        latency.finish(worker, claim, [chance.random(), 1.0])
    if leave:
        os._exit(0)  # what the parent had open is not this process's to close


def _verdict(opened: opening.Services, trials: int, kills: int, seconds: float) -> str:
    found = reading.open_optuna(opened.database, opened.optuna_storage, _study(trials)).get_trials(deepcopy=False)
    assert [trial.number for trial in found] == list(range(trials)), "numbers are missing"
    assert all(trial.state is optuna.trial.TrialState.COMPLETE for trial in found), "trials were left behind"
    assert all(len(trial.params) == len(found[0].params) and trial.values for trial in found), "half-written trials"
    assert len({tuple(sorted(trial.params.items())) for trial in found}) == trials, "points came twice"
    with opened.database.transaction() as connection:
        results, held, taken_up = (connection.execute(sa.text(query)).scalar_one() for query in _COUNTS)
    assert (results, held) == (trials, 0), f"{results} results, {held} leases still held"
    return (
        f"{trials} trials among {_WORKERS} workers, {kills} of which were killed in {seconds:.0f} s: every number "
        f"once, every trial whole and told once with its result, {taken_up} taken up from a killed worker."
    )
