"""A LoRA trial's parameters as one complete, typed record: defaults filled in, ratios worked out. Torch-free."""

import dataclasses
from collections.abc import Mapping
from typing import Literal, cast

from trainers.contract import job
from trainers.lora import parameters

#: how long a trial trains that names no length
DEFAULT_EPOCHS = 10


@dataclasses.dataclass(frozen=True)
class LoraSettings:
    """What a diffusion LoRA trial trains with; each field is described in `trainers.lora.parameters`.

    `text_encoder_lr` 0 leaves the text encoders alone, `learning_rate` 0 the UNet. `resolution` None is the base
    model's own, `lr_warmup_ratio` counts where it is set.
    """

    learning_rate: float
    text_encoder_lr: float
    network_dim: int
    network_alpha: float
    network_dropout: float
    max_train_epochs: int
    max_train_steps: int | None
    max_train_samples: int | None
    train_batch_size: int
    gradient_accumulation_steps: int
    optimizer_type: str
    weight_decay: float
    min_8bit_size: int
    d_coef: float
    d0: float
    max_grad_norm: float
    lr_scheduler: str
    lr_warmup_steps: int
    lr_warmup_ratio: float | None
    lr_scheduler_num_cycles: int
    lr_scheduler_power: float
    min_snr_gamma: float
    noise_offset: float
    caption_dropout: float
    resolution: int | None
    enable_bucket: bool
    bucket_reso_steps: int
    mixed_precision: Literal["no", "fp16", "bf16"]
    gradient_checkpointing: bool
    save_precision: Literal["float", "fp16", "bf16"]
    save_format: Literal["kohya", "diffusers"]
    seed: int


def lora_settings(params: Mapping[str, job.Scalar], seed: int) -> LoraSettings:
    """Complete a trial's parameters; they must have passed their trainer's check. `seed` counts where none is given."""
    values: dict[str, object] = {
        name: params.get(name, parameter.default) for name, parameter in parameters.TABLE.items()
    }
    prodigy = parameters.steps_of(str(values["optimizer_type"])) == "Prodigy"
    rate = _number(values["learning_rate"], 1.0 if prodigy else 1e-4)
    text_rate = _number(values["text_encoder_lr"], rate * _number(values["text_encoder_lr_ratio"], 0.0))
    alpha_ratio = _number(values["network_alpha_ratio"], 1.0)
    values["learning_rate"] = rate
    values["text_encoder_lr"] = rate if prodigy and rate and text_rate else text_rate
    values["network_alpha"] = _number(values["network_alpha"], _number(values["network_dim"], 0.0) * alpha_ratio)
    values["max_train_epochs"] = values["max_train_epochs"] or DEFAULT_EPOCHS
    values["lr_warmup_steps"] = values["lr_warmup_steps"] or 0
    values["seed"] = seed if values["seed"] is None else values["seed"]
    wanted = {field.name for field in dataclasses.fields(LoraSettings)}
    return LoraSettings(**{name: value for name, value in values.items() if name in wanted})  # type: ignore[arg-type]


def _number(value: object, otherwise: float) -> float:
    return otherwise if value is None else float(cast(float, value))
