"""What thinning a long history costs: the same searches with the sketch's usual size and with every trial kept.

Both draw the same points until the sketch is full for the first time, so differences are taken seed by seed.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import optuna

from benchmarks.search import kept, landscapes, regret
from optimizer import attributes
from optimizer.designs import design
from optimizer.designs.search import search as searches
from optimizer.designs.search import sketch as sketches
from tests.optimizer import searching

#: numbers of trials after which searches are compared
SIZES = (40, 300, 600, 1000)
EVERYTHING = 10**9


@dataclasses.dataclass(frozen=True)
class Case:
    """A landscape searched for a low loss, or for a low loss with little training as well."""

    landscape: str
    objectives: int

    @property
    def name(self) -> str:
        return self.landscape if self.objectives == 1 else f"{self.landscape}, two objectives"


#: a case (its index), a seed and the rows of the sketch; and how bad the search is at each size
Job = tuple[int, int, int]
Found = dict[Job, list[float]]

CASES = (Case("ridge", 1), Case("ridge", 2), Case("source", 1))


def search(case: Case, seed: int, rows: int) -> list[float]:
    """How bad the search is after each of `SIZES`: its least loss, or what it leaves undominated."""
    sketches.MOST_ROWS = rows
    landscape = next(each for each in landscapes.LANDSCAPES if each.name == case.landscape)
    under_rules = regret.open_search(landscape, seed)
    if case.objectives == 2:
        under_rules = _with_effort(under_rules, seed)
    trials = searching.Trials(under_rules)
    told: list[tuple[float, float]] = []
    badness = []
    for count in range(1, max(SIZES) + 1):
        drawn = under_rules.next()
        assert isinstance(drawn, design.Proposal)
        loss = landscape.loss(drawn.params)
        values = None if loss is None else [loss, effort(drawn.params)][: case.objectives]
        trials.add(drawn.params, values, drawn.notes, constraints={attributes.TRAINING: float(loss is None)})
        trials.look()
        if loss is not None:
            told.append((loss, effort(drawn.params)))
        if count in SIZES:
            badness.append(min(told)[0] if case.objectives == 1 else undominated(told))
    return badness


def _with_effort(single: searches.Search, seed: int) -> searches.Search:
    objectives = {"loss": "minimize", "effort": "minimize"}
    study = single.admission.study.model_copy(update={"objectives": objectives})
    return searches.once(dataclasses.replace(single.admission, study=study), seed)


def effort(params: landscapes.Point) -> float:
    """Pictures shown, as a share of the most the ridge allows."""
    return params["train_batch_size"] * params["max_train_epochs"] / 320 if "train_batch_size" in params else 0.0


def undominated(told: Sequence[tuple[float, float]]) -> float:
    """The part of the box up to (`regret.NOTHING`, 1) that no trial dominates, as a share of it."""
    area, least_effort = 0.0, 1.0
    for loss, spent in sorted(told):
        if spent < least_effort:
            area += (regret.NOTHING - loss) * (least_effort - spent)
            least_effort = spent
    return 1.0 - area / regret.NOTHING


def _one(job: Job) -> list[float]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    at, seed, rows = job
    return search(CASES[at], seed, rows)


def run(seeds: int, processes: int, file: pathlib.Path | None = None) -> str:
    """Every case with every seed; returns a table in Markdown."""
    sizes = (sketches.MOST_ROWS, EVERYTHING)
    jobs = [(at, seed, rows) for seed in range(seeds) for at in range(len(CASES)) for rows in sizes]
    return table(kept.run(_one, jobs, processes, file))


def table(found: Found) -> str:
    """Means over seeds, and the mean difference with a 95 % bootstrap interval; above 0 thinning is worse."""
    lines = [
        "| landscape | trials | seeds | thinned | every trial kept | difference (95 % interval) |",
        "|---|---|---|---|---|---|",
    ]
    for at, case in enumerate(CASES):
        pairs = [
            (badness, found[at, seed, EVERYTHING])
            for (where, seed, rows), badness in found.items()
            if where == at and rows != EVERYTHING and (at, seed, EVERYTHING) in found
        ]
        both = np.array(pairs)  # (seeds, thinned or whole, sizes)
        both = both - both.min()
        for size, (thinned, whole) in zip(SIZES, both.transpose(2, 1, 0), strict=True):
            low, high = regret.interval(thinned - whole)
            lines.append(
                f"| {case.name} | {size:,} | {len(pairs)} | {thinned.mean():.5f} | {whole.mean():.5f} "
                f"| {(thinned - whole).mean():+.5f} ({low:+.5f} to {high:+.5f}) |"
            )
    return "\n".join(lines)
