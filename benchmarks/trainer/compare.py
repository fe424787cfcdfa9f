"""Seconds a step of the loops, turn by turn."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.trainer import loops
from benchmarks.trainer.bench import Bench

PLAIN, CACHED, OURS = "plain loop", "plain loop, encoded beforehand", "ours"
Turns = Mapping[str, Sequence[float]]


def turns(bench: Bench, count: int) -> Turns:
    """Seconds a step of every loop, (turns,) each; a turn before the first, which pays for caches, is not counted."""
    seconds: dict[str, list[float]] = {PLAIN: [], CACHED: [], OURS: []}
    for number in range(-1, count):
        turn = {
            PLAIN: loops.plain(bench, f"plain {number}", cached=False),
            CACHED: loops.plain(bench, f"cached {number}", cached=True),
            OURS: loops.ours(bench, f"ours {number}"),
        }
        if number >= 0:
            for name, value in turn.items():
                seconds[name].append(value)
    return seconds


def table(measured: Turns, batch: int) -> str:
    """Medians, and ratios of the loops within each turn with their smallest and largest."""
    lines = ["| loop | ms a step | images a second |", "|---|---|---|"]
    for name, seconds in measured.items():
        median = statistics.median(seconds)
        lines.append(f"| {name} | {median * 1000:.1f} | {batch / median:.1f} |")
    lines += ["", "| faster by | median | spread |", "|---|---|---|"]
    for what, slow, quick in (
        ("encoding once alone", PLAIN, CACHED),
        ("the rest of ours", CACHED, OURS),
        ("both", PLAIN, OURS),
    ):
        ratios = [one / other for one, other in zip(measured[slow], measured[quick], strict=True)]
        lines.append(f"| {what} | {statistics.median(ratios):.2f} x | {min(ratios):.2f} to {max(ratios):.2f} |")
    return "\n".join(lines)
