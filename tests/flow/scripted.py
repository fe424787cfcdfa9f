"""Studies that train nothing: a script of their own tells scores at once, so that much can be done in a short time."""

import pathlib

from tests.flow import place as places

SCRIPT = """\
import pathlib, sys, time
from trainers.contract import events, job, paths

train_job = job.read(pathlib.Path(sys.argv[1]))
reporter = events.Reporter(paths.JobPaths(pathlib.Path(train_job.directory)).events)
for spec in train_job.trials:
    files = paths.TrialPaths(pathlib.Path(spec.directory))
    files.lora.write_bytes(b"a LoRA")
    reporter.tell("train-started", spec.number, total_steps=1, epochs=1, images=16, effective_batch=16)
    time.sleep(spec.params.get("seconds", 0))
    reporter.tell("trained", spec.number, steps=1, seconds=0.0)
    reporter.tell("saved", spec.number, path=str(files.lora), sha256="0")
    reporter.tell("scored", spec.number, metrics={"gain": spec.params["gain"]}, images=[], seconds=0.0)
    reporter.tell("trial-finished", spec.number, outcome="finished", seconds={"train": 0.0})
"""

STUDY = """\
study_version: 1
name: {name}
trainer: command
base: demo
dataset: {dataset}
space:
  dim: {{int: [1, {dims}]}}
fixed: {{script: {script}, gain: {gain}, seconds: {seconds}}}
{rules}
objectives: {{gain: maximize}}
search: {{sampler: random, trials: {trials}, seed: 3}}
evaluation:
  prompts: [a zorbit monster]
"""


def study(
    place: places.Place,
    name: str,
    *,
    trials: int = 2,
    dims: int = 1000,
    gain: float = 0.5,
    seconds: float = 0.0,
    rules: str = "",
) -> pathlib.Path:
    """Write a study file of this name, in place of the one before; each of its trials scores `gain`."""
    here = place.own(name)
    script = here / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    path = here / "study.yaml"
    if rules:
        (here / "rules.yaml").write_text(rules, encoding="utf-8")
    text = STUDY.format(
        name=name,
        trials=trials,
        dims=dims,
        gain=gain,
        seconds=seconds,
        script=script,
        rules="rules: [rules.yaml]" if rules else "",
        dataset=places.CHECKOUT / "examples" / "quickstart" / "dataset",
    )
    path.write_text(text, encoding="utf-8")
    return path
