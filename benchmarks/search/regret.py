"""Regret after a budget of trained trials: the same functions, seeds and budget for every way to search.

A trial that trains is a trial of the budget, whether it fails or not. A refused point is not trained; the searches that
spend trials on refused points (`prune`, `constraint`) pay for each as for a trial, as the source experiment did.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from benchmarks.search import kept, landscapes
from optimizer import attributes
from optimizer.designs import design
from optimizer.designs.search import search as searches
from optimizer.study import space
from tests.optimizer import searching

BUDGET = 40
#: what a search that found nothing usable has: no landscape is worse
NOTHING = 2.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`losses` are the best so far after each trial of the budget; `refused` of them were refused points."""

    losses: Sequence[float]
    refused: int
    failed: int


def open_search(landscape: landscapes.Landscape, seed: int, sampler: str = "tpe") -> searches.Search:
    # what its one objective is called is of no matter; the reader wants one that the trainer tells
    study = searching.study(landscape.parameters, sampler=sampler, seed=seed, objectives={"failure_rate": "minimize"})
    if landscape.rules:
        return searching.search(study, *landscape.rules, seed=seed)
    # the source experiment's rules are shipped
    from optimizer.designs import judgement  # noqa: PLC0415
    from optimizer.rules import compiled  # noqa: PLC0415

    admission = judgement.Admission(study, compiled.load(study, ["lora-v2.1"]), searching.SITUATION)
    return searches.once(admission, seed)


def ours(landscape: landscapes.Landscape, seed: int, sampler: str = "tpe") -> Outcome:
    """Rules inside the proposal: no trial is spent on a refused point."""
    search = open_search(landscape, seed, sampler)
    trials = searching.Trials(search)
    told: list[float | None] = []
    while len(told) < BUDGET:
        drawn = search.next()
        assert isinstance(drawn, design.Proposal)
        told.append(loss := landscape.loss(drawn.params))
        trained = {attributes.TRAINING: float(loss is None)}
        trials.add(drawn.params, None if loss is None else [loss], drawn.notes, constraints=trained)
        trials.look()
    return outcome(told, 0)


def plain(landscape: landscapes.Landscape, seed: int, *, constraint: bool) -> Outcome:
    """Plain multivariate TPE; a refused point is raised TrialPruned, with or without how far outside it was."""
    search = open_search(landscape, seed)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), direction="minimize")
    told: list[float | None] = []
    refused = 0
    for _ in range(BUDGET):
        trial = study.ask()
        params = suggest(trial, search)
        verdict = search.admission.judge(params)
        loss = None if verdict.refused_by else landscape.loss(params)
        refused += bool(verdict.refused_by)
        if constraint:
            for rule, violation in verdict.violations.items():
                trial.set_constraint(rule, violation)
        # training that failed: also only a pruned trial, since nobody told the sampler more
        if loss is None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, loss)
        told.append(loss)
    return outcome(told, refused)


def suggest(trial: optuna.Trial, search: searches.Search) -> dict[str, object]:
    """What a person writes by hand: a suggestion for each parameter whose condition holds."""
    params: dict[str, object] = {}
    for name, domain in search.admission.study.space.items():
        if not search.admission.rules.is_active(name, params):
            continue
        form = space.distribution(domain)
        if isinstance(form, optuna.distributions.CategoricalDistribution):
            params[name] = trial.suggest_categorical(name, form.choices)
        elif isinstance(form, optuna.distributions.IntDistribution):
            params[name] = trial.suggest_int(name, form.low, form.high, log=form.log, step=form.step)
        else:
            assert isinstance(form, optuna.distributions.FloatDistribution)
            params[name] = space.snap(
                domain, trial.suggest_float(name, form.low, form.high, log=form.log, step=form.step)
            )
    return params


def outcome(told: list[float | None], refused: int) -> Outcome:
    best, losses = NOTHING, []
    for loss in told:
        best = min(best, NOTHING if loss is None else loss)
        losses.append(best)
    return Outcome(tuple(losses), refused, sum(loss is None for loss in told) - refused)


def optimum(landscape: landscapes.Landscape) -> float:
    """The best loss of two thousand feasible points, half of them found near the best so far."""
    search = open_search(landscape, 0)
    chance = np.random.default_rng(0)
    there = search.feasible.reservoir
    best, where = NOTHING, None
    for _ in range(2000):
        point = there.take(where if chance.random() < 0.5 else None, lambda _: False)
        loss = None if point is None else landscape.loss(point)
        if loss is not None and loss < best:
            best, where = loss, point
            there.add(point or {})
    return best


#: one search of a landscape with a seed
Way = Callable[[landscapes.Landscape, int], Outcome]
#: outcomes by way, landscape (its index) and seed
Found = dict[tuple[str, int, int], Outcome]

OURS = "ours (tpe under the rules)"
WAYS: dict[str, Way] = {
    OURS: ours,
    "plain TPE, TrialPruned": functools.partial(plain, constraint=False),
    "plain TPE, set_constraint": functools.partial(plain, constraint=True),
    "random under the rules": functools.partial(ours, sampler="random"),
}


def _one(ways: Mapping[str, Way], job: tuple[str, int, int]) -> dict[str, Any]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    way, at, seed = job
    return dataclasses.asdict(ways[way](landscapes.LANDSCAPES[at], seed))


def run(seeds: int, processes: int, file: pathlib.Path | None = None, ways: Mapping[str, Way] = WAYS) -> str:
    """Every way on every landscape with every seed; returns a table in Markdown."""
    jobs = [(way, at, seed) for seed in range(seeds) for at in range(len(landscapes.LANDSCAPES)) for way in ways]
    found = kept.run(functools.partial(_one, ways), jobs, processes, file)
    return table({job: Outcome(**outcome) for job, outcome in found.items()})


def table(found: Found) -> str:
    """Mean regret with a 95 % bootstrap interval, and the share of the budget that refused and failed points took.

    `less ours` is the mean difference to our search with the same seed, with its interval.
    """
    lines = [
        "| landscape | search | regret after 40 (95 % interval) | less ours, by seed | after 20 | refused | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for at, landscape in enumerate(landscapes.LANDSCAPES):
        here: dict[str, list[Outcome]] = {}
        for (way, where, _), result in sorted(found.items(), key=lambda each: each[0][2]):
            if where == at:
                here.setdefault(way, []).append(result)
        least = min(optimum(landscape), *(result.losses[-1] for results in here.values() for result in results))
        lines += [_row(landscape.name, way, here[way], here[OURS], least) for way in here]
    return "\n".join(lines)


def _row(landscape: str, way: str, outcomes: Sequence[Outcome], our: Sequence[Outcome], least: float) -> str:
    final = np.array([each.losses[-1] - least for each in outcomes])
    half = np.array([each.losses[len(each.losses) // 2 - 1] - least for each in outcomes])
    low, high = interval(final)
    more = final - np.array([each.losses[-1] - least for each in our])
    least_more, most_more = interval(more)
    paired = "" if way == OURS else f"{more.mean():+.4f} ({least_more:+.4f} to {most_more:+.4f})"
    refused = np.mean([each.refused for each in outcomes]) / BUDGET
    failed = np.mean([each.failed for each in outcomes]) / BUDGET
    return (
        f"| {landscape} | {way} | {final.mean():.4f} ({low:.4f} to {high:.4f}) | {paired} | {half.mean():.4f} "
        f"| {refused:.0%} | {failed:.0%} |"
    )


def interval(values: np.ndarray, samples: int = 4000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    chance = np.random.default_rng(0)
    means = chance.choice(values, size=(samples, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return (math.nan, math.nan) if not len(values) else (float(low), float(high))
