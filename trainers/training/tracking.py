"""TensorBoard and W&B through accelerate's trackers: what a trial tells is shown there, too. Torch-free.

A tracker only looks on: where it fails, that is printed once and the trial goes on without it.
"""

import importlib
import importlib.util
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainers.contract import errors, events, job


def missing(names: Sequence[job.Tracker]) -> list[str]:
    """For each tracker that is not installed here, what to do about it."""
    return [
        f"trackers: {name} is not installed; pip install 'tuneguard[{name}]', or take it out"
        for name in names
        if importlib.util.find_spec(name) is None
    ]


class Trackers:
    """Follows the events of one job; each trial is a run of its own, which a resumed trial goes on with."""

    def __init__(self, train_job: job.TrainJob) -> None:
        """Open nothing yet.

        Raises:
            errors.JobError: the job asks for a tracker that is not installed.
        """
        problems = missing(train_job.trackers)
        if problems:
            raise errors.JobError("\n".join(problems))
        self._job = train_job
        self._open: dict[job.Tracker, Any] = {}
        self._baseline: Mapping[str, Any] = {}
        self._step = 0

    def __call__(self, event: events.Event) -> None:
        """Show an event; never raises."""
        if event.event == "baseline":
            self._baseline = event.data["metrics"]
        elif event.event == "resumed":
            self._step = int(event.data["step"])
        elif event.event == "train-started":
            self._start(next(spec for spec in self._job.trials if spec.number == event.trial))
        elif event.event == "step":
            self._step = int(event.data["step"])
            self._log("train", {name: value for name, value in event.data.items() if name != "step"}, self._step)
        elif event.event == "evaluated":
            self._log("during", event.data["metrics"], int(event.data["step"]))
        elif event.event == "scored":
            self._log("scores", event.data["metrics"], self._step)
            self._show([str(image["path"]) for image in event.data["images"]])
        elif event.event in ("trial-finished", "job-finished"):
            self.close()

    def close(self) -> None:
        """End the runs that are open."""
        self._each(lambda name, tracker: tracker.finish())
        self._open = {}
        self._step = 0

    def _start(self, spec: job.TrialSpec) -> None:
        resumed = self._step
        self._open = dict.fromkeys(self._job.trackers)
        self._each(lambda name, _: self._open.update({name: _RUNS[name](self._job, spec, resumed)}))
        self._each(lambda name, tracker: tracker.start())
        if not resumed:
            config = {**spec.params, "seed": spec.seed, "base": self._job.base, "dataset": self._job.dataset.path}
            self._each(lambda name, tracker: tracker.store_init_configuration(config))
            self._log("baseline", self._baseline, 0)

    def _log(self, group: str, values: Mapping[str, Any], step: int) -> None:
        numbers = {f"{group}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        self._each(lambda name, tracker: tracker.log(numbers, step=step))

    def _show(self, files: Sequence[str]) -> None:
        import numpy  # noqa: PLC0415  (only where a tracker is open)
        from PIL import Image  # noqa: PLC0415

        def show(name: job.Tracker, tracker: Any) -> None:
            pictures = numpy.stack([numpy.asarray(Image.open(file).convert("RGB")) for file in files])  # (N, H, W, 3)
            layout = {"dataformats": "NHWC"} if name == "tensorboard" else {}
            tracker.log_images({"pictures": pictures}, step=self._step, **layout)

        self._each(show)

    def _each(self, use: Callable[[job.Tracker, Any], None]) -> None:
        """Use each open tracker; one that fails is closed for this trial."""
        for name, tracker in list(self._open.items()):
            try:
                use(name, tracker)
            except Exception as error:  # whatever a tracker raises is its own affair
                print(
                    f"trainers: {name} is left out of this trial: {errors.reason(error)}", file=sys.stderr, flush=True
                )
                del self._open[name]


def _tensorboard(train_job: job.TrainJob, spec: job.TrialSpec, resumed: int) -> Any:
    """A run in the trial's own folder; a resumed one drops what was told of steps that are trained again."""
    purge = {"purge_step": resumed + 1} if resumed else {}
    return importlib.import_module("accelerate.tracking").TensorBoardTracker("tensorboard", spec.directory, **purge)


def _wandb(train_job: job.TrainJob, spec: job.TrialSpec, resumed: int) -> Any:
    """A run of the project that is named like the study; W&B's own environment variables say where it goes."""
    pathlib.Path(spec.directory).mkdir(parents=True, exist_ok=True)  # W&B writes elsewhere rather than make it
    name = f"{train_job.study}/{spec.number}"
    return importlib.import_module("accelerate.tracking").WandBTracker(
        train_job.study,
        name=name,
        id=name.replace("/", "-"),
        resume="allow" if resumed else None,
        dir=spec.directory,
        settings={"console": "off"},
    )


#: tracker -> how its run for a trial is made; accelerate takes seconds to import, so it is named, not imported
_RUNS: Mapping[job.Tracker, Callable[[job.TrainJob, job.TrialSpec, int], Any]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}
