"""Random trials of the quickstart without any rule: `python -m benchmarks.demo_models.sweep --out FILE.csv`.

Each trial is one row, written when it ends, so a stopped sweep goes on where it was. These rows are the evidence
behind `examples/quickstart/rules.yaml`; `python -m benchmarks.demo_models.evidence` counts them.
"""

import argparse
import csv
import itertools
import pathlib
import random
from collections.abc import Callable, Iterator

from benchmarks.demo_models import trials
from trainers.contract import job

Params = dict[str, job.Scalar]

PARAMETERS = (
    "optimizer_type",
    "learning_rate",
    "d_coef",
    "network_dim",
    "network_alpha_ratio",
    "max_train_epochs",
    "gradient_accumulation_steps",
    "lr_scheduler",
    "lr_warmup_ratio",
)
COLUMNS = (
    "trial",
    "seed",
    *PARAMETERS,
    "outcome",
    "failures",
    "steps",
    "loss_first",
    "loss_last",
    "loss_max",
    "grad_norm_max",
    "grad_norm_last",
    "loss_ema_max",
    "loss_ema_above_half_at",
    "grad_norm_ratio_max",
    *trials.METRICS,
    "by_seed",
    "seconds",
    "load_seconds",
    "train_seconds",
    "sample_seconds",
    "score_seconds",
)


def wide(rng: random.Random) -> Params:
    """A trial anywhere in the quickstart's space."""
    optimizer = rng.choice(("AdamW", "AdamW8bit", "Prodigy"))
    rate: Params = {"learning_rate": _log_uniform(rng, 5e-4, 1e-1)}
    return {
        "optimizer_type": optimizer,
        **({"d_coef": _log_uniform(rng, 0.5, 8)} if optimizer == "Prodigy" else rate),
        "network_dim": rng.choice((4, 8, 16, 32, 64)),
        "network_alpha_ratio": rng.choice((0.25, 0.5, 0.75, 1.0)),
        "max_train_epochs": rng.choice((10, 20, 30, 40)),
        "gradient_accumulation_steps": rng.choice((1, 2, 4)),
        "lr_scheduler": rng.choice(("cosine", "constant_with_warmup")),
        "lr_warmup_ratio": rng.choice((0.0, 0.05, 0.1, 0.2)),
    }


def edge(rng: random.Random) -> Params:
    """A trial with a high learning rate and many steps, where failures begin."""
    params = wide(rng)
    params.pop("d_coef", None)
    return params | {
        "optimizer_type": rng.choice(("AdamW", "AdamW8bit")),
        "learning_rate": _log_uniform(rng, 8e-3, 6e-2),
        "max_train_epochs": rng.choice((20, 30, 40)),
    }


def repeats(rng: random.Random) -> Params:
    """The reference configuration; only the training's seed changes."""
    del rng
    return {
        "optimizer_type": "AdamW",
        "learning_rate": 5e-3,
        "network_dim": 16,
        "network_alpha_ratio": 0.5,
        "max_train_epochs": 30,
        "gradient_accumulation_steps": 1,
        "lr_scheduler": "cosine",
        "lr_warmup_ratio": 0.1,
    }


DESIGNS: dict[str, Callable[[random.Random], Params]] = {"wide": wide, "edge": edge, "repeats": repeats}


def draws(design: str, worker: int, workers: int) -> Iterator[tuple[int, Params]]:
    """Numbered trials of a design; each worker takes every n-th."""
    for number in itertools.count(worker, workers):
        yield number, DESIGNS[design](random.Random(f"{design} {number}"))


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return float(f"{low * (high / low) ** rng.random():.3g}")


def main() -> None:
    """Parse the command line and run trials until the count is reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_models.sweep", description=__doc__)
    parser.add_argument("--design", choices=DESIGNS, default="wide")
    parser.add_argument("--count", type=int, default=60, help="trials of all workers together")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--noises", type=int, nargs="+", default=trials.SEEDS, help="sets of sampling noise")
    parser.add_argument("--models", type=pathlib.Path, help="folder with base/ and clip/ instead of the shipped ones")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for the trials' own folders")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    done = set()
    if given.out.exists():
        with given.out.open(encoding="utf-8", newline="") as file:
            done = {int(row["trial"]) for row in csv.DictReader(file)}
    base, scorer = (str(given.models / "base"), str(given.models / "clip")) if given.models else ("demo", "demo")
    with trials.Trainer(given.work, base=base, scorer=scorer, seeds=tuple(given.noises)) as trainer:
        for number, params in draws(given.design, given.worker, given.workers):
            if number >= given.count:
                break
            if number in done:
                continue
            row = trainer.run(number, params, seed=number)
            _append(given.out, {name: _short(row.get(name)) for name in COLUMNS})
            score = row.get("clip_score")
            print(number, params, f"clip_score {score}, failures {row['failures'] or 'none'}", flush=True)


def _append(file: pathlib.Path, row: dict[str, object]) -> None:
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def _short(value: object) -> object:
    return f"{value:.5g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
