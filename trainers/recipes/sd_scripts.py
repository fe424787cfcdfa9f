"""kohya's sd-scripts as a trainer: its own script trains from TOML files, our sampler and scorer measure the LoRA.

It runs in an interpreter of its own (`sd_scripts_python`), since its requirements exclude ours. It is started as
`accelerate launch` would start it for one process, but without that parent, which dies of the signal that ends a
training and leaves its child behind. sd-scripts tells nothing but log text, which nobody parses here: there are no live
signals, no early stop and no checkpoint. A trial that is interrupted starts anew.
"""

import pathlib
import subprocess

import accelerate
import safetensors.torch
import torch

from trainers.contract import errors, events, interruption, job, paths
from trainers.data import dataset
from trainers.files import digests
from trainers.kohya import images as sd_scripts_images
from trainers.kohya import limits as sd_scripts_limits
from trainers.kohya import probe as sd_scripts_probe
from trainers.kohya import settings as kohya_settings
from trainers.lora import settings, steps
from trainers.recipes import evaluation, kept, orders, processes


class SdScriptsRecipe:
    """Serves jobs by running sd-scripts; the base model and the scorer stay loaded between them."""

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
        base = order.kept.base(order.job.base, own.mixed_precision, device, order.cache)
        yardstick = evaluation.yardstick(order, spec, base, facts, device)
    order.reporter.tell("loaded", spec.number, seconds=seconds["load"])
    described = kohya_settings.known_base(order.job.base)
    plan = kohya_settings.plan(own, facts.pictures, described)
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
        _train(order, spec, own, plan, described, facts)
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


def _train(
    order: orders.Order,
    spec: job.TrialSpec,
    own: settings.LoraSettings,
    plan: steps.StepPlan,
    base: kohya_settings.BaseTraits,
    facts: dataset.DatasetFacts,
) -> None:
    """Write the TOML files and run the script in its checkout.

    Raises:
        errors.JobError: the checkout does not hold the script, or it refuses a setting.
        interruption.Interrupted: asked to stop.
        RuntimeError: the script failed.
    """
    refused = list(
        sd_scripts_limits.setting_problems(base.family, {name: (value,) for name, value in spec.params.items()})
    )
    checkout = sd_scripts_probe.checkout(spec.params)
    script = checkout / kohya_settings.SCRIPTS[base.family]
    if not script.is_file():
        refused.append(f"sd_scripts: {script}: no such file; name the folder of an sd-scripts checkout")
    if refused:
        raise errors.JobError("\n".join(refused))
    trial = paths.TrialPaths(pathlib.Path(spec.directory))
    trial.directory.mkdir(parents=True, exist_ok=True)
    trial.lora.unlink(missing_ok=True)  # one of an earlier attempt would pass for this one's
    files = kohya_settings.files(
        own,
        plan,
        base,
        _folders(order, facts),
        trial.lora,
        flip=order.job.dataset.flip,
        tokenizer_folder=_tokenizers(base, trial),
    )
    config, data = trial.directory / "sd-scripts.toml", trial.directory / "sd-scripts-dataset.toml"
    config.write_text(files.config, encoding="utf-8")
    data.write_text(files.dataset, encoding="utf-8")
    command = [sd_scripts_probe.python(spec.params), str(script), f"--config_file={config}", f"--dataset_config={data}"]
    environment = {**sd_scripts_probe.environment(), **_ACCELERATE}
    if accelerate.state.PartialState().device.type == "cpu":
        environment["ACCELERATE_USE_CPU"] = "true"
    code = processes.wait(subprocess.Popen(command, cwd=checkout, env=environment), order.asked)
    order.asked.check()
    if code != 0 or not trial.lora.is_file():
        raise RuntimeError(f"{script.name} ended with code {code}; see {order.console}")


#: what `accelerate launch` tells a single process, so that it reads no default configuration of the person's
_ACCELERATE = {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_DYNAMO_BACKEND": "no"}


def _folders(order: orders.Order, facts: dataset.DatasetFacts) -> list[sd_scripts_images.Folder]:
    """The images as sd-scripts reads them: where they lie, or written out once for all trials of this machine."""
    if not sd_scripts_images.differences(facts.pictures):
        return sd_scripts_images.as_they_lie(facts.pictures)
    target = order.cache / "sd-scripts" / sd_scripts_images.key(facts.pictures)
    return sd_scripts_images.write(facts.pictures, target, link=True)


def _tokenizers(base: kohya_settings.BaseTraits, trial: paths.TrialPaths) -> pathlib.Path | None:
    """A folder of the base's own tokenizers under the names that sd-scripts looks for; else it asks the hub."""
    found = kohya_settings.tokenizers(base)
    if not found:
        return None
    folder = trial.directory / "tokenizers"
    folder.mkdir(exist_ok=True)
    for name, source in found.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(source)
    return folder


def _broken_tensors(lora: pathlib.Path) -> int:
    tensors = safetensors.torch.load_file(lora)
    return sum(not bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
