"""Measure the search: `python -m benchmarks.search [regret|thinned|rare|latency|crowd|killed]`, each alone or all.

`smac` is the regret with SMAC3 beside the others (needs the `smac` extra: pip install -e '.[smac]').
"""

import argparse
import importlib.util
import pathlib

import optuna

from benchmarks.search import crowd, killed, latency, rare, regret, thinned


def main() -> None:
    """Run what is asked for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what",
        choices=["regret", "smac", "thinned", "rare", "latency", "crowd", "killed", "all"],
        nargs="?",
        default="all",
    )
    parser.add_argument("--seeds", type=int, default=50, help="seeds of regret and thinned (default 50)")
    parser.add_argument("--searches", type=int, default=3, help="searches a sampler and rule set of rare (default 3)")
    parser.add_argument("--processes", type=int, default=2, help="processes of regret and thinned (default 2)")
    parser.add_argument("--turns", type=int, default=20, help="asks and tells a size of the latency (default 20)")
    parser.add_argument("--workers", type=int, default=32, help="workers of the crowd (default 32)")
    parser.add_argument("--trials", type=int, default=320, help="trials that crowd or killed share (default 320)")
    parser.add_argument(
        "--keep", type=pathlib.Path, help="where regret or thinned keeps every outcome, as JSON, and goes on"
    )
    wishes = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if wishes.what in ("regret", "all"):
        print(regret.run(wishes.seeds, wishes.processes, wishes.keep))
    if wishes.what == "smac":
        if importlib.util.find_spec("smac") is None:
            parser.exit(2, "SMAC3 is not installed: pip install -e '.[smac]'\n")
        from benchmarks.search import smac3  # noqa: PLC0415 - only who asks for it needs it

        print(regret.run(wishes.seeds, wishes.processes, wishes.keep, {**regret.WAYS, smac3.NAME: smac3.search}))
    if wishes.what in ("thinned", "all"):
        print(thinned.run(wishes.seeds, wishes.processes, wishes.keep if wishes.what == "thinned" else None))
    if wishes.what in ("rare", "all"):
        print(rare.run(wishes.searches))
    if wishes.what in ("latency", "all"):
        print(latency.run(wishes.turns))
    if wishes.what in ("crowd", "all"):
        print(crowd.run(wishes.workers, wishes.trials))
    if wishes.what in ("killed", "all"):
        print(killed.run(wishes.trials))


if __name__ == "__main__":
    main()
