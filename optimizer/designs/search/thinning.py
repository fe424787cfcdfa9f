"""A study's history in fewer trials, so that what a sampler reads does not grow with the study.

Samplers split trials into good and other ones. The good ones are kept whole; of the others an even share says as much
about where trials have been. The latest are kept because generations of NSGA-II and CMA-ES are read from them.
"""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import optuna

#: share of the kept trials that are the best, and that are the latest; the rest is drawn evenly
BEST_SHARE = 0.3
LATEST_SHARE = 0.2
#: trials that are ranked at once: memory is quadratic in it
BLOCK = 2000


def thin(
    trials: Sequence[optuna.trial.FrozenTrial], directions: Sequence[str], kept: int, chance: random.Random
) -> list[optuna.trial.FrozenTrial]:
    """At most `kept` of the trials, in their order."""
    if len(trials) <= kept:
        return list(trials)
    best = set(_best(trials, directions, int(kept * BEST_SHARE)))
    latest = set(range(len(trials) - int(kept * LATEST_SHARE), len(trials)))
    others = [index for index in range(len(trials)) if index not in best | latest]
    chosen = best | latest | set(chance.sample(others, min(len(others), kept - len(best | latest))))
    return [trials[index] for index in sorted(chosen)]


def _best(trials: Sequence[optuna.trial.FrozenTrial], directions: Sequence[str], count: int) -> list[int]:
    """Indices of the best trials: those that fewest others dominate; trials without values come last."""
    usable = [index for index, trial in enumerate(trials) if trial.values is not None and len(trial.values)]
    signs = np.array([1.0 if direction == "minimize" else -1.0 for direction in directions])
    losses = np.array([trials[index].values for index in usable]).reshape(len(usable), len(signs)) * signs
    leading = np.array([], dtype=int)
    for start in range(0, len(usable), BLOCK):
        block = np.concatenate([leading, np.arange(start, min(start + BLOCK, len(usable)))])
        leading = block[np.argsort(_dominated(losses[block]), kind="stable")[:count]]
    return [usable[index] for index in leading]


def _dominated(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.int_]:
    """For each row of shape (trials, objectives), how many rows dominate it."""
    no_worse = (losses[:, None, :] <= losses[None, :, :]).all(axis=2)
    better = (losses[:, None, :] < losses[None, :, :]).any(axis=2)
    counted: npt.NDArray[np.int_] = (no_worse & better).sum(axis=0)
    return counted
