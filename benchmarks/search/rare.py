"""Seconds of whole proposals where the rules accept about one point in 100,000, for every sampler.

A proposal is `Search.next` of `optimizer.designs.search.search`: the sampler's draws that are refused, the reservoir,
and z3 where it is needed. Each search runs in a process of its own, so that nothing is known before its first proposal.
"""

import dataclasses
import multiprocessing
import time
import typing
from collections.abc import Iterator, Sequence

import numpy as np
import optuna

from constraints.judging import conditions
from optimizer.designs import design, judgement
from optimizer.designs.search import search as searches
from optimizer.forecast import estimates
from optimizer.study import space
from optimizer.study import written as study_file
from tests.optimizer import searching
from trainers.lora import footprint, sections

SAMPLERS: tuple[str, ...] = typing.get_args(study_file.SearchEntry.model_fields["sampler"].annotation)
#: proposals of a search after its first, each learned as a usable trial
LATER = 20
#: points judged to know a feasible share, and how many at once
JUDGED = 2**24
BLOCK = 2**18

SPACE = {
    "learning_rate": {"float": [1e-5, 1e-2], "log": True},
    "network_dim": {"choices": [4, 8, 16, 32, 64, 128]},
    "network_alpha": {"float": [1.0, 128.0]},
    "network_dropout": {"float": [0.0, 0.5], "step": 0.05},
    "max_train_epochs": {"int": [1, 50]},
    "train_batch_size": {"int": [1, 8]},
    "noise_offset": {"float": [0.0, 0.2]},
    "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts", "polynomial"]},
    "lr_scheduler_num_cycles": {"int": [1, 4], "when": 'lr_scheduler == "cosine_with_restarts"'},
}
CASES = {
    "a thin band of rate, alpha and rank": (
        "abs(learning_rate * network_alpha / network_dim - 0.001) < 0.00000022",
        "max_train_epochs >= 20",
        "network_dropout <= 0.1",
    ),
    "a corner of many ranges": (
        "learning_rate < 0.00002",
        "network_alpha < 4",
        "network_dropout <= 0.05",
        "max_train_epochs <= 5",
        'lr_scheduler == "polynomial"',
    ),
    "estimates of memory and time": (
        "estimate.vram_gb < 0.0605",
        "estimate.minutes > 0.9",
        "learning_rate < 0.00002",
        "network_alpha < 4",
        "noise_offset < 0.02",
    ),
    "two slabs across four floats": (
        "abs(learning_rate * network_alpha - 0.01) < 0.00008",
        "abs(noise_offset - 30 * learning_rate) < 0.0006",
    ),
    "slabs a millionth wide": (
        "abs(learning_rate * network_alpha - 0.01) < 0.00000001",
        "abs(noise_offset - 30 * learning_rate) < 0.0000002",
    ),
}


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of each proposal in their order, by the wall's clock and of the processor, both of shape (proposals,)."""

    wall: Sequence[float]
    processor: Sequence[float]


def open_search(case: str, sampler: str, seed: int) -> searches.Search:
    study = searching.study(SPACE, sampler=sampler, startup_trials=5, seed=seed)
    rules = searching.rules(study, {"require": list(CASES[case])})
    prior = footprint.of("demo", sections.Evaluation(prompts=("a", "b")))
    situation = searching.situation(estimator=estimates.Estimator(prior, on_gpu=True))
    return searches.once(judgement.Admission(study, rules, situation.for_rules(rules)), seed)


def measure(job_: tuple[str, str, int]) -> tuple[tuple[str, str, int], Timing]:
    """Proposals of one search in a new process; each is judged once more."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = open_search(*job_)
    trials = searching.Trials(search)
    wall, processor = [], []
    for _ in range(1 + LATER):
        began, spent = time.perf_counter(), time.process_time()
        drawn = search.next()
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - spent)
        assert isinstance(drawn, design.Proposal)
        assert not search.admission.judge(drawn.params).refused_by
        trials.add(drawn.params, [-abs(drawn.params["network_dropout"] - 0.05)], drawn.notes)
        trials.look()
    return job_, Timing(wall, processor)


def share(case: str) -> float:
    """The feasible share of a case, from random points."""
    search = open_search(case, "random", 0)
    study = search.admission.study
    active = conditions.Conditions(study.space, study.fixed)
    chance = np.random.default_rng(0)
    hits = 0
    for _ in range(JUDGED // BLOCK):
        rows = chance.random((BLOCK, len(study.space)))
        columns = space.unit_columns(rows, study.space, active, study.fixed)
        hits += int((search.admission.weigh(columns) > 0).sum())
    return hits / JUDGED


def run(seeds: int) -> str:
    """Every case with every sampler; returns a table in Markdown."""
    jobs = [(case, sampler, seed) for case in CASES for sampler in SAMPLERS for seed in range(seeds)]
    found: dict[tuple[str, str], list[Timing]] = {}
    # a process a search, so that imports, caches and solvers are cold
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for (case, sampler, _), timing in pool.imap(measure, jobs, chunksize=1):
            found.setdefault((case, sampler), []).append(timing)
    return "\n".join(table(found))


def table(found: dict[tuple[str, str], list[Timing]]) -> Iterator[str]:
    yield "| rules | feasible share | sampler | first proposal: median, longest (processor) | later ones |"
    yield "|---|---|---|---|---|"
    for case in CASES:
        part = share(case)
        for sampler in SAMPLERS:
            first = [(wall, spent) for each in found[case, sampler] for wall, spent in _pairs(each)[:1]]
            later = [(wall, spent) for each in found[case, sampler] for wall, spent in _pairs(each)[1:]]
            yield f"| {case} | {part:.1e} | {sampler} | {_said(first)} | {_said(later)} |"


def _pairs(timing: Timing) -> list[tuple[float, float]]:
    return list(zip(timing.wall, timing.processor, strict=True))


def _said(pairs: Sequence[tuple[float, float]]) -> str:
    wall, processor = np.array(pairs).T
    return f"{np.median(wall):.2f}, {wall.max():.2f} s ({np.median(processor):.2f}, {processor.max():.2f} s)"
