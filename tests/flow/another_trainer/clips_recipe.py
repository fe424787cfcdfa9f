"""What trains where a job names `clip-classes`: a logistic regression on the mean brightness of a clip's frames."""

import pathlib
import time

import clips_declared
import numpy as np

from trainers.contract import events, interruption, job, paths


class ClipsRecipe:
    def __init__(self) -> None:
        self.device = "cpu"

    def run(self, train_job: job.TrainJob, reporter: events.Reporter, asked: interruption.Interruption) -> None:
        for spec in train_job.trials:
            began = time.monotonic()
            outcome = train(train_job, spec, reporter, asked)
            seconds = {"train": time.monotonic() - began}
            reporter.tell("trial-finished", spec.number, outcome=outcome, seconds=seconds)


def train(
    train_job: job.TrainJob[clips_declared.Dataset, clips_declared.Evaluation],
    spec: job.TrialSpec,
    reporter: events.Reporter,
    asked: interruption.Interruption,
) -> str:
    files = paths.TrialPaths(pathlib.Path(spec.directory))
    brightness, labels = features(train_job.dataset)
    weight, offset = 0.0, 0.0
    epochs = int(spec.params.get("max_train_epochs", 10))
    fields = {"epochs": epochs, "images": len(labels), "effective_batch": len(labels)}
    reporter.tell("train-started", spec.number, total_steps=epochs, **fields)
    began = time.monotonic()
    for step in range(1, epochs + 1):
        asked.check()
        likely = 1 / (1 + np.exp(-(weight * brightness + offset)))
        gradient = likely - labels
        weight -= spec.params["learning_rate"] * float(gradient @ brightness)
        offset -= spec.params["learning_rate"] * float(gradient.sum())
        loss = float(-np.log(np.where(labels, likely, 1 - likely)).mean())
        told = {"step": step, "epoch": step, "progress": step / epochs, "loss": loss, "loss_ema": loss}
        told |= {"grad_norm": 1.0, "grad_norm_median": 1.0, "learning_rate_now": spec.params["learning_rate"]}
        reporter.tell("step", spec.number, **told, train_accuracy=accuracy(weight, offset, brightness, labels))
        deadline = time.monotonic() + 20  # the worker reads twenty times a second
        while spec.params["learning_rate"] == 0 and step == 3 and time.monotonic() < deadline:
            if files.stop.exists():
                reporter.tell("stopped", spec.number, rule=job.stop_rule(files.stop), step=step)
                return "stopped"
            time.sleep(0.05)
    reporter.tell("trained", spec.number, steps=epochs, seconds=time.monotonic() - began)
    held_out = train_job.dataset.model_copy(update={"path": train_job.evaluation.clips})
    score = accuracy(weight, offset, *features(held_out))
    reporter.tell("scored", spec.number, metrics={"accuracy": score}, images=[], seconds=0.0)
    return "finished"


def features(dataset: clips_declared.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Brightness, shape (clips,), and whether each clip is of the last class."""
    clips = clips_declared.inspect(dataset).clips
    brightness = np.array([np.load(clip.file)[: dataset.frames].mean() - 0.5 for clip in clips])
    last = max(clip.label for clip in clips)
    return brightness, np.array([clip.label == last for clip in clips])


def accuracy(weight: float, offset: float, brightness: np.ndarray, labels: np.ndarray) -> float:
    return float(((weight * brightness + offset > 0) == labels).mean())
