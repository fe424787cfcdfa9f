"""kohya's sd-scripts as a trainer: its own script trains from TOML files, our sampler and judge measure the LoRA.

sd-scripts tells nothing but log text, which nobody parses here: there are no live signals, no early stop and no
checkpoint. A trial that is interrupted starts anew.
"""

import pathlib
import subprocess
import sys

import accelerate
import safetensors.torch
import torch

from trainers import (
    buckets,
    dataset,
    digests,
    errors,
    evaluation,
    events,
    interruption,
    job,
    kept,
    models,
    orders,
    paths,
    processes,
    sd_scripts,
    settings,
    steps,
)


class Recipe:
    """Serves jobs by running sd-scripts; the base model and the judge stay loaded between them."""

    def __init__(self) -> None:
        self.device = str(accelerate.state.PartialState().device)
        self._kept = kept.Kept()

    def run(self, train_job: job.TrainJob, reporter: events.Reporter, asked: interruption.Interruption) -> None:
        """Train and measure each trial; see `recipes.Recipe.run`."""
        order = orders.Order(train_job, reporter, asked, self._kept)
        for spec in train_job.trials:
            seconds = {"load": 0.0, "train": 0.0, "sample": 0.0, "score": 0.0}
            try:
                outcome = _run_trial(order, spec, seconds)
            except errors.ParameterError as error:
                orders.refuse(reporter, spec, str(error), seconds)
                continue
            reporter.tell("trial-finished", spec.number, outcome=outcome, seconds=seconds)


def _run_trial(order: orders.Order, spec: job.TrialSpec, seconds: dict[str, float]) -> str:
    own = settings.lora_settings(spec.params, spec.seed)
    device = accelerate.state.PartialState().device
    with orders.Clock(seconds, "load"):
        facts = dataset.inspect(order.job.dataset)
        _check_captions(facts)
        base = order.kept.base(order.job.base, own.mixed_precision, device, order.cache)
        yardstick = evaluation.yardstick(order, spec, base, facts, device)
    order.reporter.tell("loaded", spec.number, seconds=seconds["load"])
    plan = _plan(own, facts, base)
    order.reporter.tell(
        "train-started",
        spec.number,
        total_steps=plan.total_steps,
        epochs=plan.epochs,
        images=facts.images,
        effective_batch=plan.effective_batch,
    )
    lora = paths.TrialPaths(pathlib.Path(spec.directory)).lora
    with orders.Clock(seconds, "train"):
        _train(order, spec, own, plan, base)
    order.reporter.tell("trained", spec.number, steps=plan.total_steps, seconds=seconds["train"])
    order.reporter.tell("saved", spec.number, path=str(lora), sha256=digests.of_file(lora, order.cache))
    broken = _broken_tensors(lora)
    if broken:
        message = f"{broken} LoRA tensors hold NaN or infinite values"
        evidence = {"tensors": broken}
        fields = {"kind": "nonfinite-weights", "step": plan.total_steps, "message": message, "evidence": evidence}
        order.reporter.tell("failed", spec.number, **fields, fatal=True)
        return "failed"
    base.pipeline.load_lora_weights(lora)
    try:
        evaluation.evaluate(order, spec, yardstick, plan.total_steps, seconds)
    finally:
        base.pipeline.unload_lora_weights()
    return "finished"


def _check_captions(facts: dataset.DatasetFacts) -> None:
    """sd-scripts reads a caption from the text file beside an image, and trains without one where there is none.

    Raises:
        errors.DatasetError: a caption stands somewhere else.
    """
    for picture in facts.pictures:
        if picture.place.member or not picture.place.path.with_suffix(".txt").is_file():
            raise errors.DatasetError(
                f"{picture.place}: sd-scripts needs a .txt file beside each image; it reads neither metadata.jsonl nor "
                "shards. Write the captions out, or train with diffusion-lora"
            )


def _plan(own: settings.LoraSettings, facts: dataset.DatasetFacts, base: models.Base) -> steps.StepPlan:
    rule = buckets.RULES["sd-scripts"]
    groups = buckets.group(facts.pictures, own, own.resolution or base.resolution, rule)
    return steps.plan(buckets.batches_per_epoch(map(len, groups.values()), own.train_batch_size), own)


def _train(
    order: orders.Order, spec: job.TrialSpec, own: settings.LoraSettings, plan: steps.StepPlan, base: models.Base
) -> None:
    """Write the TOML files and run the script in its checkout.

    Raises:
        errors.JobError: the checkout does not hold the script.
        interruption.Interrupted: asked to stop.
        RuntimeError: the script failed.
    """
    checkout = pathlib.Path(str(spec.params["sd_scripts"])).expanduser().resolve()
    script = checkout / sd_scripts.SCRIPTS[base.family]
    if not script.is_file():
        raise errors.JobError(f"sd_scripts: {script}: no such file; name the folder of an sd-scripts checkout")
    trial = paths.TrialPaths(pathlib.Path(spec.directory))
    trial.directory.mkdir(parents=True, exist_ok=True)
    v_prediction = base.pipeline.scheduler.config.prediction_type == "v_prediction"
    options = sd_scripts.config(own, plan, str(base.path), trial.lora, v_prediction=v_prediction)
    images = sd_scripts.dataset_config(own, order.job.dataset, own.resolution or base.resolution)
    config, data = trial.directory / "sd-scripts.toml", trial.directory / "sd-scripts-dataset.toml"
    config.write_text(sd_scripts.toml(options), encoding="utf-8")
    data.write_text(sd_scripts.toml(images), encoding="utf-8")
    command = [sys.executable, str(script), f"--config_file={config}", f"--dataset_config={data}"]
    code = processes.wait(subprocess.Popen(command, cwd=checkout), order.asked)
    order.asked.check()
    if code != 0 or not trial.lora.is_file():
        raise RuntimeError(f"{script.name} ended with code {code}; see {order.console}")


def _broken_tensors(lora: pathlib.Path) -> int:
    tensors = safetensors.torch.load_file(lora)
    return sum(not bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
