"""Speed of the diffusion LoRA trainer against the plain loop that diffusers' example script stands for.

Run from the checkout: `python -m benchmarks.trainer` (demo base), `--size sd15` or `--size sdxl` (random weights of the
full-size shapes, meant for a GPU). Three loops train the same LoRA on the same images, batch and precision: the plain
one, the plain one with latents and captions encoded beforehand, and ours. They take turns, so that a noisy machine
slows them alike; ratios are of one turn each, and their median and spread are reported.
"""

import argparse
import json
import pathlib
import tempfile

from benchmarks.trainer import compare, process, split
from benchmarks.trainer.bases import SIZES
from benchmarks.trainer.bench import Bench


def main() -> None:
    """Measure, print tables in Markdown and, with --json, everything as one line instead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["demo", *SIZES], default="demo")
    parser.add_argument("--batch", type=int, nargs="+", help="images in a batch (1 and 4 for the demo, else 1)")
    parser.add_argument("--steps", type=int, default=40, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--resolution", type=int)
    parser.add_argument("--precision", choices=["no", "bf16"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    batches = given.batch or ([1, 4] if given.size == "demo" else [1])
    precision = given.precision or ("no" if given.size == "demo" else "bf16")
    figures = {}
    for batch in batches:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(pathlib.Path(folder), given.size, batch, given.steps, given.dim, given.resolution, precision)
            turns = compare.turns(bench, given.turns)
            parts = split.parts(bench)
            costs = process.costs(bench)
        figures[batch] = {"turns": turns, "parts": parts, "costs": costs}
        if not given.json:
            print(f"\n**{given.size}, {bench.machine}, batch {batch}, precision {precision}**\n")
            print(compare.table(turns, batch), split.table(parts), process.table(costs), sep="\n\n")
    if given.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
