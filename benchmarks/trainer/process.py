"""What a trainer process costs besides its steps."""

import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image

from benchmarks.trainer import loops
from benchmarks.trainer.bench import DATASET, Bench
from trainers.bases import models
from trainers.lora import architecture, sections

ROOT = pathlib.Path(__file__).resolve().parents[2]


def costs(bench: Bench) -> Mapping[str, float]:
    """Seconds (medians) and GiB."""
    scorer = bench.kept.scorer(sections.Evaluation(prompts=("a monster",)), bench.device, bench.folder).clip
    pictures = [Image.open(path).convert("RGB") for path in sorted(DATASET.glob("*.png"))[:16]]

    def score() -> None:
        scorer.images(pictures)
        scorer.texts(["a zorbit monster"] * 16)

    measured = {
        "import of the trainer process, s": _median(3, _import),
        "load of the demo base, s": _median(
            5, lambda: models.load(str(architecture.DEMO / "base"), "no", bench.device, bench.folder)
        ),
        "scoring 16 pictures, s": _median(5, score),
    }
    if bench.size == "demo":
        measured |= _whole_process(bench)
    if bench.device.type == "cuda":
        measured["peak memory of the plain loop, GiB"] = _peak(lambda: loops.plain(bench, "memory 1", cached=False))
        measured["peak memory of ours, GiB"] = _peak(lambda: loops.ours(bench, "memory 2"))
    return measured


def table(measured: Mapping[str, float]) -> str:
    return "\n".join(["| cost | |", "|---|---|", *(f"| {name} | {value:.2f} |" for name, value in measured.items())])


def _import() -> None:
    subprocess.run([sys.executable, "-c", "import trainers.recipes.diffusion_lora"], cwd=ROOT, check=True)


def _whole_process(bench: Bench) -> Mapping[str, float]:
    """One process from start to end, as its largest child: the processes before it only imported."""
    train_job = bench.job("process")
    file = pathlib.Path(train_job.directory) / "job.json"
    train_job.write(file)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "trainers", str(file)], cwd=ROOT, check=True)
    return {
        f"a process for one trial of {bench.steps} steps, s": time.perf_counter() - began,
        "its peak memory, GiB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20,
    }


def _median(times: int, function: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _peak(function: Callable[[], Any]) -> float:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    function()
    return torch.cuda.max_memory_allocated() / 2**30
