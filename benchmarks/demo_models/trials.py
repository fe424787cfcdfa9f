"""Quickstart trials in the product's own trainer process, kept warm, without a study around them."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from benchmarks.demo_models.drawn import world
from trainers.contract import job
from trainers.lora import sections

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATASET = ROOT / "examples" / "quickstart" / "dataset"
STEPS = 12
GUIDANCE = 4.0
SEEDS = (1, 2)

#: what every trial of the quickstart has in common
FIXED: dict[str, job.Scalar] = {
    "train_batch_size": 4,
    "max_grad_norm": 1.0,
    "caption_dropout": 0.05,
    "d0": 1e-4,
    "min_8bit_size": 256,
}

Row = dict[str, Any]


@dataclasses.dataclass
class Trainer:
    """A warm trainer process: `run` gives it one trial at a time and waits for its events."""

    work: pathlib.Path
    base: str = "demo"
    scorer: str = "demo"
    seeds: tuple[int, ...] = SEEDS
    thresholds: job.Thresholds = dataclasses.field(default_factory=job.Thresholds)

    def __enter__(self) -> Self:
        self.work.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "trainers", "--serve", "diffusion-lora"]
        log = (self.work / "trainer.log").open("ab")
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
        log.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def run(self, number: int, params: Mapping[str, job.Scalar], seed: int) -> Row:
        """Train, draw and score one trial; the row holds its parameters, signals, scores and failures."""
        folder = self.work / f"trial-{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        events_file = folder / "events.jsonl"
        events_file.unlink(missing_ok=True)
        train_job = job.TrainJob(
            trainer="diffusion-lora",
            study="demo-models",
            base=self.base,
            dataset=sections.Dataset(path=str(DATASET)),
            evaluation=sections.Evaluation(
                prompts=world.VALIDATION_PROMPTS,
                held_out=world.HELD_OUT_PROMPTS,
                seeds=self.seeds,
                steps=STEPS,
                guidance_scale=GUIDANCE,
                clip=sections.ClipModel(model=self.scorer),
            ),
            thresholds=self.thresholds,
            trials=(job.TrialSpec(number=number, params={**FIXED, **params}, seed=seed, directory=str(folder)),),
            directory=str(folder),
            cache=str(self.work / "cache"),
            checkpoint_every_steps=0,
            report_every_steps=1,
        )
        job_file = folder / "job.json"
        train_job.write(job_file)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": str(job_file)}) + "\n")
        self._process.stdin.flush()
        return {"trial": number, "seed": seed, **params, **summary(self._finished_events(events_file))}

    def _finished_events(self, file: pathlib.Path) -> list[dict[str, Any]]:
        while True:
            if file.exists():
                lines = file.read_text(encoding="utf-8").splitlines()
                if lines and '"job-finished"' in lines[-1] and lines[-1].endswith("}"):
                    return [json.loads(line) for line in lines]
            if self._process.poll() is not None:
                raise RuntimeError(f"the trainer process ended; see {self.work / 'trainer.log'}")
            time.sleep(0.05)


def summary(events: list[dict[str, Any]]) -> Row:
    """Signals, scores and failures of one trial from its events."""
    steps = [event for event in events if event["event"] == "step"]
    losses = [event["loss"] for event in steps]
    eighth = max(1, len(losses) // 8)
    row: Row = {
        "steps": len(steps),
        "loss_first": mean(losses[:eighth]),
        "loss_last": mean(losses[-eighth:]),
        "loss_max": max(losses, default=float("nan")),
        "grad_norm_max": max((event["grad_norm"] for event in steps), default=float("nan")),
        "grad_norm_last": mean([event["grad_norm"] for event in steps[-eighth:]]),
        "loss_ema_max": max((event["loss_ema"] for event in steps), default=float("nan")),
        "loss_ema_above_half_at": next((event["step"] for event in steps if event["loss_ema"] > 0.5), None),
        "grad_norm_ratio_max": max(
            (event["grad_norm"] / event["grad_norm_median"] for event in steps if event["step"] > 10), default=1.0
        ),
        "failures": "+".join(dict.fromkeys(event["kind"] for event in events if event["event"] == "failed")),
    }
    for event in events:
        if event["event"] == "scored":
            row |= {name: event["metrics"][name] for name in METRICS}
            row["by_seed"] = "/".join(f"{score:.3f}" for score in event["metrics"]["clip_score_by_seed"])
        elif event["event"] == "trial-finished":
            row |= {"outcome": event["outcome"], "seconds": sum(event["seconds"].values())}
            row |= {f"{phase}_seconds": value for phase, value in event["seconds"].items()}
        elif event["event"] == "job-finished" and event["exit_code"]:
            raise RuntimeError(f"the trainer refused the job: {event['message']}")
    return row


METRICS = (
    "clip_score",
    "clip_score_gain",
    "subject_similarity",
    "subject_similarity_max",
    "prompt_similarity",
    "failure_rate",
    "black_share",
    "flat_share",
    "saturated_share",
    "held_out_clip_score",
    "held_out_clip_score_gain",
)


def mean(values: list[float]) -> float:
    """Mean, not-a-number for nothing."""
    return sum(values) / len(values) if values else float("nan")
