"""Ask and tell on the same Postgres: plain Optuna, its multivariate TPE, and ours, turn by turn in one run."""

import dataclasses
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import optuna
import sqlalchemy as sa

from benchmarks.search import world
from optimizer import attributes, opening
from optimizer.designs import judgement
from optimizer.designs.search import search as searches
from optimizer.results import reading
from optimizer.running import worker as workers
from optimizer.study import space
from optimizer.trials import beginning, claims
from optimizer.trials import conclusion as conclusions

SIZES = (20, 1000, 10000)


@dataclasses.dataclass
class Clock:
    """Seconds and calls by what they were spent on."""

    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    statements: int = 0

    def wrap(self, owner: object, method: str, kind: str) -> None:
        """Count the time in a method of an object; nested kinds count for the inner one as well."""
        inner = getattr(owner, method)

        def timed(*args: object, **kwargs: object) -> object:
            began = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.add(kind, time.perf_counter() - began)

        setattr(owner, method, timed)

    def add(self, kind: str, seconds: float) -> None:
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds


@contextmanager
def database_time(clock: Clock) -> Iterator[None]:
    """Count the time in which any engine of this process waits for a statement."""

    def before(connection: sa.Connection, *_: object) -> None:
        connection.info["began"] = time.perf_counter()

    def after(connection: sa.Connection, *_: object) -> None:
        clock.add("server", time.perf_counter() - connection.info["began"])
        clock.statements += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    sa.event.listen(sa.Engine, "after_cursor_execute", after)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before)
        sa.event.remove(sa.Engine, "after_cursor_execute", after)


def run(turns: int) -> str:
    """Measure every size; returns a table in Markdown."""
    lines = [
        "| finished trials | plain Optuna | multivariate TPE | ours | ours is faster by | "
        "ours: sampling / judging / database | statements | joins in |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with world.services() as opened:
        for size in SIZES:
            lines.append(measure(opened, size, turns))
            print(lines[-1], flush=True)
    return "\n".join(lines)


def measure(opened: opening.Services, size: int, turns: int) -> str:
    plain = plain_optuna(opened, f"plain-{size}", size, optuna.samplers.TPESampler(seed=1))
    multivariate = plain_optuna(
        opened, f"multivariate-{size}", size, optuna.samplers.TPESampler(seed=1, multivariate=True, constant_liar=True)
    )
    clock = Clock()
    ours, joined = our_search(opened, f"ours-{size}", size, clock)
    steps: dict[str, Callable[[], None]] = {"plain": plain, "multivariate": multivariate, "ours": ours}
    for step in steps.values():
        step()
    clock.seconds.clear()
    clock.statements = 0
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(turns):
        for name, step in steps.items():
            with database_time(clock if name == "ours" else Clock()):
                began = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - began)
    median = {name: float(np.median(spent)) * 1000 for name, spent in times.items()}
    part = {kind: seconds / turns * 1000 for kind, seconds in clock.seconds.items()}
    everything = float(np.mean(times["ours"])) * 1000
    sampling, judging = part["sampling"], part["judging"]
    return (
        f"| {size:,} | {median['plain']:.0f} ms | {median['multivariate']:.0f} ms | {median['ours']:.0f} ms "
        f"| {median['plain'] / median['ours']:.1f} x, {median['multivariate'] / median['ours']:.1f} x "
        f"| {sampling:.1f} / {judging:.1f} / {everything - sampling - judging:.1f} ms "
        f"(of the last, waiting for the server {part['server']:.1f}) "
        f"| {clock.statements / turns:.0f} | {joined:.2f} s |"
    )


def plain_optuna(
    opened: opening.Services, name: str, size: int, sampler: optuna.samplers.BaseSampler
) -> Callable[[], None]:
    """Ask, suggest, one constraint, tell: as anybody writes it."""
    spec = world.study(name)
    study = optuna.create_study(
        study_name=name, storage=opened.optuna_storage, directions=list(spec.objectives.values()), sampler=sampler
    )
    world.load_history(opened, study, spec, size)
    chance = np.random.default_rng(0)
    forms = space.distributions(spec.space)

    def step() -> None:
        trial = study.ask(forms)
        trial.set_constraint(attributes.TRAINING, 0.0)
        study.tell(trial, chance.random(2).tolist())

    return step


def our_search(opened: opening.Services, name: str, size: int, clock: Clock) -> tuple[Callable[[], None], float]:
    """The product's own path: rules, lease, proposal, result row, tell. Also how long joining the study takes."""
    spec = world.study(name)
    with opened.database.transaction() as connection:
        beginning.keep_study(connection, spec)
    world.load_history(opened, reading.open_optuna(opened.database, opened.optuna_storage, spec), spec, size)
    gc.collect()
    began = time.perf_counter()
    worker = world.open_worker(dataclasses.replace(opened, optuna_storage=reopened(opened)), spec)
    worker.proposer.look()
    joined = time.perf_counter() - began
    chance = np.random.default_rng(0)
    design = worker.proposer.design
    assert isinstance(design, searches.Search)
    for method in ("draw", "learn", "begin", "end"):
        clock.wrap(design.sketch, method, "sampling")
    clock.wrap(judgement.Admission, "judge", "judging")

    def step() -> None:
        claim = worker.proposer.claim()
        assert isinstance(claim, claims.Claim)
        finish(worker, claim, chance.random(2).tolist())

    return step, joined


def reopened(opened: opening.Services) -> optuna.storages.BaseStorage:
    """Optuna's storage as a new process has it: nothing read yet."""
    from storage import optuna_store  # noqa: PLC0415

    return optuna_store.open_storage(opened.database)


def finish(worker: workers.Worker, claim: claims.Claim, values: list[float]) -> None:
    """Tell a trial as if it had been trained."""
    conclusion = conclusions.Conclusion(
        conclusions.Ending.USABLE, values=tuple(values), constraints={attributes.TRAINING: 0.0}
    )
    worker.teller.settle(claim, conclusion)
