"""Optimizers and learning-rate schedules by the names that `trainers.lora.parameters` describes."""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers.optimization import get_scheduler

from trainers.lora import settings, steps
from trainers.training import prodigy

Groups = list[dict[str, Any]]
Build = Callable[[Groups, float, settings.LoraSettings], Any]


def optimizer(trial: settings.LoraSettings, unet: Sequence[Any], text_encoders: Sequence[Any]) -> Any:
    """An optimizer over the LoRA weights, with one parameter group for each learning rate in use."""
    groups: Groups = [
        {"params": list(weights), "lr": rate}
        for weights, rate in ((unet, trial.learning_rate), (text_encoders, trial.text_encoder_lr))
        if weights
    ]
    # each group has its own rate; the common one is what the end of the polynomial schedule is reckoned from
    return _OPTIMIZERS[trial.optimizer_type](groups, groups[0]["lr"], trial)


def schedule(trial: settings.LoraSettings, plan: steps.StepPlan, optimizer: Any) -> Any:
    """The learning-rate schedule, stepped once for each optimizer step.

    It is asked for a rate after the last step, too, which nobody uses: where all steps are warmup there is nothing left
    that could fall, and a polynomial would divide by it.
    """
    return get_scheduler(
        trial.lr_scheduler,
        optimizer,
        num_warmup_steps=plan.warmup_steps,
        num_training_steps=max(plan.total_steps, plan.warmup_steps + 1),
        num_cycles=trial.lr_scheduler_num_cycles,
        power=trial.lr_scheduler_power,
    )


def _adamw(groups: Groups, rate: float, trial: settings.LoraSettings) -> Any:
    # a fused step that loss scaling leaves out looks taken, and the schedule would go on without it
    return torch.optim.AdamW(groups, rate, weight_decay=trial.weight_decay, fused=trial.mixed_precision != "fp16")


def _sgd(groups: Groups, rate: float, trial: settings.LoraSettings) -> Any:
    return torch.optim.SGD(groups, rate, momentum=0.9, nesterov=True, weight_decay=trial.weight_decay)


def _adafactor(groups: Groups, rate: float, trial: settings.LoraSettings) -> Any:
    from transformers.optimization import Adafactor  # noqa: PLC0415  (each optimizer costs only who uses it)

    return Adafactor(groups, rate, scale_parameter=False, relative_step=False, weight_decay=trial.weight_decay)


def _bitsandbytes(name: str) -> Build:
    def build(groups: Groups, rate: float, trial: settings.LoraSettings) -> Any:
        import bitsandbytes  # noqa: PLC0415

        options: dict[str, Any] = {"weight_decay": trial.weight_decay}
        if name.endswith("8bit"):
            options["min_8bit_size"] = trial.min_8bit_size
        return getattr(bitsandbytes.optim, name)(groups, lr=rate, **options)

    return build


def _adamw8bit_no_sync(groups: Groups, rate: float, trial: settings.LoraSettings) -> Any:
    built = _bitsandbytes("AdamW8bit")(groups, rate, trial)
    built.step = types.MethodType(_step_without_waiting, built)
    return built


@torch.no_grad()
def _step_without_waiting(self: Any, closure: None = None) -> None:
    """bitsandbytes' step, which waits for the device after every tensor; only paged state needs that."""
    if not self.initialized:
        self.check_overrides()
        self.to_gpu()
        self.initialized = True
    for group_number, group in enumerate(self.param_groups):
        for number, weight in enumerate(group["params"]):
            if weight.grad is None:
                continue
            if not self.state[weight]:
                self.init_state(group, weight, group_number, number)
            self.update_step(group, weight, group_number, number)


def _prodigy(groups: Groups, rate: float, trial: settings.LoraSettings) -> Any:
    import prodigyopt  # noqa: PLC0415

    return prodigyopt.Prodigy(
        groups,
        lr=rate,
        weight_decay=trial.weight_decay,
        d_coef=trial.d_coef,
        d0=trial.d0,
        # as its authors advise for diffusion models
        safeguard_warmup=True,
        use_bias_correction=True,
    )


def _prodigy_no_sync(groups: Groups, rate: float, trial: settings.LoraSettings) -> Any:
    return prodigy.Prodigy(groups, lr=rate, weight_decay=trial.weight_decay, d_coef=trial.d_coef, d0=trial.d0)


_OPTIMIZERS: Mapping[str, Build] = {
    "AdamW": _adamw,
    "AdamW8bit": _bitsandbytes("AdamW8bit"),
    "PagedAdamW8bit": _bitsandbytes("PagedAdamW8bit"),
    "Lion": _bitsandbytes("Lion"),
    "Lion8bit": _bitsandbytes("Lion8bit"),
    "SGDNesterov": _sgd,
    "AdaFactor": _adafactor,
    "Prodigy": _prodigy,
    "AdamW8bit-no-sync": _adamw8bit_no_sync,
    "Prodigy-no-sync": _prodigy_no_sync,
}
