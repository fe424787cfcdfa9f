"""Healthy trials, of which none may raise an alarm: `python -m benchmarks.demo_models.healthy`.

Trials from the part of the quickstart's space that its rules accept without a doubt: rates up to 0.01, Prodigy with at
least 60 steps. Every check is on, at the thresholds that fit the demo models. Exits with 1 when any trial failed.
"""

import argparse
import itertools
import pathlib
import random
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.demo_models import sweep, trials
from trainers.contract import job

#: tighter than the defaults: where `docs/log.md` found sound pictures and broken ones apart
THRESHOLDS = job.Thresholds(
    black_mean=15,
    flat_deviation=15,
    saturated_share=0.9,
    collapse_similarity=0.8,
    below_base_margin=0.05,
)
_HIGHEST_RATE = 1e-2
_SHORTEST_PRODIGY_STEPS = 60


def draws() -> Iterator[sweep.Params]:
    """Healthy trials, always the same ones."""
    chance = random.Random("healthy")
    return (params for params in (sweep.wide(chance) for _ in itertools.count()) if _is_healthy(params))


def _is_healthy(params: sweep.Params) -> bool:
    if params["optimizer_type"] == "Prodigy":
        steps = 4 * int(params["max_train_epochs"]) / int(params["gradient_accumulation_steps"])
        return steps >= _SHORTEST_PRODIGY_STEPS
    return float(params["learning_rate"]) <= _HIGHEST_RATE


def main() -> int:
    """Run the trials, print one line each and what they had in common."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_models.healthy", description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    given = parser.parse_args()
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        trials.Trainer(pathlib.Path(folder), thresholds=THRESHOLDS) as trainer,
    ):
        for number, params in enumerate(itertools.islice(draws(), given.count)):
            rows.append(trainer.run(number, params, seed=number))
            print(number, params, rows[-1]["failures"] or "no failure", flush=True)
    alarms = [row for row in rows if row["failures"] or row["outcome"] != "finished"]
    largest = {name: max(row[name] for row in rows) for name in ("loss_ema_max", "grad_norm_ratio_max")}
    gains = sorted(row["clip_score_gain"] for row in rows if "clip_score_gain" in row)
    print(
        f"{len(rows)} trials, {len(alarms)} with an alarm; largest: {largest}; gains {gains[0]:.3f} to {gains[-1]:.3f}"
    )
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
