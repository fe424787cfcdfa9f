"""What random trials say about rules: `python -m benchmarks.demo_models.evidence`.

Reads rows of `benchmarks.demo_models.sweep` and prints where trials fail, which parameters matter (a logistic fit), and
for every rule of the quickstart how many trials it would have refused and how many of those failed.
"""

import argparse
import csv
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import optimize

from benchmarks.demo_models import sweep, trials
from constraints.names import domain
from constraints.rules import ruleset

HERE = pathlib.Path(__file__).resolve().parent
#: the study's space with learning_rate to 0.1 and to 0.2, 64 trials each; its dangerous corner, 48 trials
FILES = ("wide-to-0.1.csv", "wide-to-0.2.csv", "edge.csv")
RULES = trials.ROOT / "examples" / "quickstart" / "rules.yaml"

#: a trial that ends this far below the untrained base has destroyed something
BELOW_BASE = 0.05
#: a trial that gains less than this has learned nothing: about twice the spread between training seeds
NO_GAIN = 0.05

Row = dict[str, str]
Truths = npt.NDArray[np.bool_]


def read(files: Sequence[pathlib.Path]) -> list[Row]:
    """All rows of sweep files."""
    rows = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as opened:
            rows += list(csv.DictReader(opened))
    return rows


def failed(row: Row) -> bool:
    """Whether a trial is unusable: diverged, broken pictures, or a score well below the untrained base's."""
    if row["outcome"] != "finished" or float(row["failure_rate"]) > 0:
        return True
    return float(row["clip_score_gain"]) < -BELOW_BASE


def learned_nothing(row: Row) -> bool:
    """Whether a trial that did not fail gained nothing either."""
    return not failed(row) and float(row["clip_score_gain"]) < NO_GAIN


def number(row: Row, name: str, missing: float = float("nan")) -> float:
    """A column as a number."""
    return float(row[name]) if row[name] else missing


def shares(rows: Sequence[Row], title: str, label: Callable[[Row], str]) -> None:
    """Failed and idle trials by a label."""
    print(f"\n{title}")
    for value in sorted({label(row) for row in rows}):
        group = [row for row in rows if label(row) == value]
        bad, idle = sum(map(failed, group)), sum(map(learned_nothing, group))
        scores = [float(row["clip_score"]) for row in group if row["clip_score"]]
        told = f"{bad}/{len(group)} failed, {idle}/{len(group)} learned nothing"
        print(f"  {value:>24}: {told}, mean clip_score {trials.mean(scores):.3f}")


def rate_band(row: Row) -> str:
    """The learning rate's band; Prodigy has none."""
    if not row["learning_rate"]:
        return "Prodigy"
    edges = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1)
    rate = float(row["learning_rate"])
    high = next((edge for edge in edges if rate <= edge), edges[-1])
    return f"<= {high:g}"


def logistic_fit(rows: Sequence[Row]) -> None:
    """Which parameters move the odds of failing, per doubling; Adam trials only, ridge 0.1, standard errors."""
    chosen = [row for row in rows if row["learning_rate"]]
    names = ("learning_rate", "network_dim", "network_alpha_ratio", "max_train_epochs", "gradient_accumulation_steps")
    columns = [np.log2([float(row[name]) for row in chosen]) for name in names]
    columns.append(np.array([row["optimizer_type"] == "AdamW8bit" for row in chosen], dtype=float))
    columns.append(np.array([10 * float(row["lr_warmup_ratio"]) for row in chosen]))
    columns.append(np.array([row["lr_scheduler"] == "cosine" for row in chosen], dtype=float))
    labels = (*(f"log2 {name}" for name in names), "AdamW8bit", "warmup, per 0.1", "cosine")
    table = np.column_stack([column - column.mean() for column in columns] + [np.ones(len(chosen))])
    target = np.array([failed(row) for row in chosen], dtype=float)
    ridge = np.array([0.1] * len(labels) + [0.0])

    def negative_log_likelihood(weights: npt.NDArray[np.float64]) -> float:
        logits = table @ weights
        return float((np.logaddexp(0, logits) - target * logits).sum() + 0.5 * (ridge * weights**2).sum())

    weights = optimize.minimize(negative_log_likelihood, np.zeros(table.shape[1])).x
    chance = 1 / (1 + np.exp(-table @ weights))
    information = (table * (chance * (1 - chance))[:, None]).T @ table + np.diag(ridge)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    right = ((chance > 0.5) == target.astype(bool)).mean()
    print(f"\nlogistic fit of failing, n = {len(chosen)}, {target.sum():.0f} failed, {right:.0%} right in sample")
    for label, weight, error in zip(labels, weights, errors, strict=False):
        print(f"  {label:>34}: {weight:+.2f} +- {error:.2f}")


def rules(rows: Sequence[Row]) -> None:
    """For each rule: trials it would have refused, and how many of them failed or learned nothing."""
    loaded = ruleset.load([RULES], space={name: _domain(rows, name) for name in sweep.PARAMETERS})
    verdicts = loaded.check({name: _column(rows, name) for name in sweep.PARAMETERS})
    bad = np.array([failed(row) for row in rows])
    idle = np.array([learned_nothing(row) for row in rows])

    def told(chosen: Truths) -> str:
        return f"{(bad & chosen).sum()} failed and {(idle & chosen).sum()} learned nothing of {chosen.sum()}"

    print(f"\nrules over {len(rows)} trials")
    ids = (*verdicts.rule_ids, *verdicts.soft_ids)
    for name, refused in zip(ids, np.concatenate([verdicts.refused, verdicts.discouraged]), strict=True):
        print(f"  {name}: refused {told(refused)}; kept {told(~refused)}")
    print(f"  all hard rules: refused {told(~verdicts.accepted)}; accepted {told(verdicts.accepted)}")


def stops(rows: Sequence[Row]) -> None:
    """Which trials the two stop rules would have ended, from the signals of all their steps."""
    signals: dict[str, Callable[[Row], bool]] = {
        "loss_ema > 0.5": lambda row: bool(row["loss_ema_above_half_at"]),
        "grad_norm > 50 * grad_norm_median": lambda row: float(row["grad_norm_ratio_max"]) > 50,
        "either": lambda row: bool(row["loss_ema_above_half_at"]) or float(row["grad_norm_ratio_max"]) > 50,
    }
    print("\nstop rules")
    for name, fires in signals.items():
        bad = sum(fires(row) for row in rows if failed(row))
        others = [row for row in rows if not failed(row)]
        print(f"  {name}: {bad} of {sum(map(failed, rows))} failed, {sum(map(fires, others))} of {len(others)} others")
    early = [row for row in rows if row["loss_ema_above_half_at"]]
    shares = sorted(float(row["loss_ema_above_half_at"]) / float(row["steps"]) for row in early)
    print(f"  the loss shows it after {shares[len(shares) // 2]:.0%} of the steps (median)")


def _column(rows: Sequence[Row], name: str) -> npt.NDArray[np.float64] | list[str | None]:
    if name in ("optimizer_type", "lr_scheduler"):
        return [row[name] or None for row in rows]
    return np.array([number(row, name) for row in rows])


def _domain(rows: Sequence[Row], name: str) -> domain.Domain:
    if name in ("optimizer_type", "lr_scheduler"):
        return domain.Domain(name=name, kind="choice", choices=tuple(sorted({row[name] for row in rows})))
    values = [float(row[name]) for row in rows if row[name]]
    when = {"learning_rate": 'optimizer_type != "Prodigy"', "d_coef": 'optimizer_type == "Prodigy"'}.get(name)
    return domain.Domain(name=name, kind="float", low=min(values), high=max(values), when=when)


def main() -> None:
    """Parse the command line and print everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_models.evidence", description=__doc__)
    parser.add_argument("rows", type=pathlib.Path, nargs="*", default=[HERE / name for name in FILES])
    rows = read(parser.parse_args().rows)
    bad, idle = sum(map(failed, rows)), sum(map(learned_nothing, rows))
    print(f"{len(rows)} trials, {bad} failed, {idle} learned nothing")
    shares(rows, "by learning rate", rate_band)
    for name in ("optimizer_type", "network_dim", "network_alpha_ratio", "max_train_epochs"):
        shares(rows, f"by {name}", lambda row, name=name: row[name].rjust(4))  # type: ignore[misc]
    for name in ("gradient_accumulation_steps", "lr_warmup_ratio", "lr_scheduler"):
        shares(rows, f"by {name}", lambda row, name=name: row[name].rjust(4))  # type: ignore[misc]
    logistic_fit(rows)
    stops(rows)
    if RULES.exists():
        rules(rows)


if __name__ == "__main__":
    main()
