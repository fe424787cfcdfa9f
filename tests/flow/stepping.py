"""A trainer of our own that takes its time: it steps, keeps a checkpoint, and goes on from it, without any torch."""

import pathlib

from tests.flow import place as places

SCRIPT = """\
import json, os, pathlib, signal, sys, time
from trainers.contract import events, job, paths

asked = False

def ask(number, frame):
    global asked
    asked = True

def train(train_job, spec, reporter):
    files = paths.TrialPaths(pathlib.Path(spec.directory))
    files.checkpoint.mkdir(parents=True, exist_ok=True)
    saved, steps = files.checkpoint / "step", spec.params["steps"]
    done = int(saved.read_text()) if saved.exists() else 0
    if done:
        reporter.tell("resumed", spec.number, step=done)
    reporter.tell("train-started", spec.number, total_steps=steps, epochs=1, images=1, effective_batch=1)
    for step in range(done + 1, steps + 1):
        time.sleep(spec.params["seconds"])
        reporter.tell("step", spec.number, step=step, epoch=1, progress=step / steps, loss=1.0, loss_ema=1.0,
                      grad_norm=1.0, grad_norm_median=1.0, learning_rate_now=1.0)
        metrics = {"gain": step / steps}
        reporter.tell("evaluated", spec.number, step=step, samples=step, milestone=step, metrics=metrics, seconds=0.0)
        if asked:
            saved.write_text(str(step))
            reporter.tell("checkpoint", spec.number, step=step)
            return "interrupted"
    files.lora.write_bytes(b"a LoRA")
    reporter.tell("trained", spec.number, steps=steps, seconds=0.0)
    reporter.tell("saved", spec.number, path=str(files.lora), sha256="0")
    EXTRA
    reporter.tell("scored", spec.number, metrics={"gain": 1.0 / spec.params["dim"]}, images=[], seconds=0.0)
    return "finished"

signal.signal(signal.SIGTERM, ask)
train_job = job.read(pathlib.Path(sys.argv[1]))
file = paths.JobPaths(pathlib.Path(train_job.directory)).events
reporter = events.Reporter(file)
for spec in train_job.trials:
    outcome = train(train_job, spec, reporter)
    reporter.tell("trial-finished", spec.number, outcome=outcome, seconds={"train": 1.0})
sys.exit(job.ExitCode.INTERRUPTED if outcome == "interrupted" else job.ExitCode.DONE)
"""

STUDY = """\
study_version: 1
name: {name}
trainer: command
base: demo
dataset: {dataset}
space:
  dim: {{int: [1, 1000]}}
fixed: {{script: {script}, steps: {steps}, seconds: {seconds}}}
objectives: {{gain: maximize}}
launch: {{attempts: {attempts}}}
search: {{sampler: random, trials: {trials}, seed: 3}}
evaluation:
  prompts: [a zorbit monster]
  during: {{every_samples: 1}}
"""


def study(
    place: places.Place,
    name: str,
    *,
    trials: int = 1,
    steps: int = 3,
    seconds: float = 0.0,
    attempts: int = 3,
    extra: str = "pass",
) -> pathlib.Path:
    """Write a study of trials that step `steps` times, `seconds` each.

    Args:
        extra: what the script does besides, between `saved` and `scored`.
    """
    here = place.own(name)
    script = here / "train.py"
    script.write_text(SCRIPT.replace("    EXTRA\n", "".join(f"    {line}\n" for line in extra.splitlines())))
    path = here / "study.yaml"
    text = STUDY.format(
        name=name,
        trials=trials,
        steps=steps,
        seconds=seconds,
        attempts=attempts,
        script=script,
        dataset=places.CHECKOUT / "examples" / "quickstart" / "dataset",
    )
    path.write_text(text, encoding="utf-8")
    return path
