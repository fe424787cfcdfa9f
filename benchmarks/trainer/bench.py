"""What every measurement is made with: a base, a scorer and a job of one size."""

import dataclasses
import functools
import pathlib
import time
from typing import Any

import accelerate
import torch

from benchmarks.trainer import bases
from trainers.bases import models
from trainers.contract import events, interruption, job
from trainers.lora import architecture, sections
from trainers.recipes import kept, orders

DATASET = architecture.DEMO.parent / "quickstart" / "dataset"


@dataclasses.dataclass(frozen=True)
class Bench:
    """One size of model and batch. `steps` are optimizer steps a turn; what is written goes into `folder`."""

    folder: pathlib.Path
    size: str
    batch: int
    steps: int
    dim: int
    resolution: int | None
    precision: str

    @functools.cached_property
    def device(self) -> torch.device:
        device: torch.device = accelerate.state.PartialState().device
        return device

    @property
    def machine(self) -> str:
        if self.device.type == "cpu":
            return f"CPU with {torch.get_num_threads()} thread(s), {'processor time' if self._alone else 'wall time'}"
        return str(torch.cuda.get_device_name(self.device))

    @functools.cached_property
    def kept(self) -> kept.Kept:
        held = kept.Kept()
        if self.size == "demo":
            held.base("demo", self.precision, self.device, self.folder)
        else:
            base = bases.random_base(self.size, self.precision, self.device)
            held = kept.Kept(_base=base, _base_key=(self.size, self.precision))
        return held

    @property
    def base(self) -> models.Base:
        return self.kept.base(self.size, self.precision, self.device, self.folder)

    def job(self, name: str) -> job.TrainJob:
        """A job with a folder of its own; one small picture is drawn, since only training is measured."""
        folder = self.folder / name
        folder.mkdir()
        params: dict[str, Any] = {
            "learning_rate": 1e-4,
            "network_dim": self.dim,
            "max_train_steps": self.steps,
            "train_batch_size": self.batch,
            "mixed_precision": self.precision,
        }
        if self.resolution:
            params["resolution"] = self.resolution
        return job.TrainJob(
            trainer="diffusion-lora",
            study="benchmark",
            base=self.size,
            dataset=sections.Dataset(path=str(DATASET)),
            evaluation=sections.Evaluation(prompts=("a zorbit monster on a blue background",), seeds=(1,), steps=1),
            trials=(job.TrialSpec(number=0, params=params, seed=1, directory=str(folder)),),
            directory=str(folder),
            cache=str(self.folder / "cache"),
            checkpoint_every_steps=0,
        )

    def order(self, name: str) -> orders.Order:
        train_job = self.job(name)
        reporter = events.Reporter(pathlib.Path(train_job.directory) / "events.jsonl")
        return orders.Order(train_job, reporter, interruption.Interruption(), self.kept)

    @property
    def _alone(self) -> bool:
        return self.device.type == "cpu" and torch.get_num_threads() == 1

    def clock(self) -> float:
        """Seconds, after the device has done everything.

        One thread on a CPU is timed by the processor's own time: others on the machine then count less.
        """
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.process_time() if self._alone else time.perf_counter()
