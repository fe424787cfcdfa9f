"""The parts of a step in the plain loop and in ours, and how often ours waits for the device."""

import warnings
from collections.abc import Mapping

import torch

from benchmarks.trainer import loops
from benchmarks.trainer.bench import Bench
from benchmarks.trainer.parts import NAMES, Parts

Split = Mapping[str, Mapping[str, float]]


def parts(bench: Bench) -> Split:
    """Seconds a step by loop and part; on a GPU also the waits a step of ours, looking at the signals included."""
    plain, own = Parts(bench), Parts(bench)
    loops.plain(bench, "plain, watched", cached=False, parts=plain)
    loops.ours(bench, "ours, watched", parts=own)
    measured = {
        name: {part: seconds / bench.steps for part, seconds in watched.seconds.items()}
        for name, watched in (("plain loop", plain), ("ours", own))
    }
    if bench.device.type == "cuda":
        measured["waits a step"] = {"ours": waits(bench)}
    return measured


def waits(bench: Bench) -> float:
    """torch warns at every synchronising call while this mode is on."""
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loops.ours(bench, "ours, waits")
    torch.cuda.set_sync_debug_mode("default")
    return len([each for each in caught if "synchroniz" in str(each.message)]) / bench.steps


def table(measured: Split) -> str:
    """A row a part."""
    plain, own = measured["plain loop"], measured["ours"]
    lines = ["| part of a step, each waited for | plain loop, ms | ours, ms |", "|---|---|---|"]
    lines += [f"| {name} | {plain[name] * 1000:.2f} | {own[name] * 1000:.2f} |" for name in NAMES]
    lines.append(f"| together | {sum(plain.values()) * 1000:.2f} | {sum(own.values()) * 1000:.2f} |")
    if "waits a step" in measured:
        lines += ["", f"Waits for the device a step of ours, set-up and looking included: {measured['waits a step']}"]
    return "\n".join(lines)
