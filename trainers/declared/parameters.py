"""What each trainer can be told: name, kind, unit, range, default and when it has an effect.

Torch-free: the study check, the trainer and the documentation read the same table. Names follow kohya's sd-scripts,
so that a person's own settings carry over.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Literal

from trainers.declared import contradictions, suggestions

Scalar = bool | int | float | str
Kind = Literal["int", "float", "text", "truth", "any"]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a trainer.

    `low` and `high` bound a number, both included unless `low_excluded`. `default` None means that the value follows
    from the others; `meaning` says how. `when` is an expression of the rule language over other parameters: where it
    is false, the value changes nothing. Empty means that it always counts. `is_path` marks a file or folder: a study
    file counts it from its own folder. `share_of` makes `<name>_ratio` stand for `<name>`: a share of that parameter.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    low_excluded: bool = False
    choices: tuple[str, ...] = ()
    default: Scalar | None = None
    when: str = ""
    is_path: bool = False
    share_of: str = ""

    def problem(self, value: object) -> str | None:
        """Say why `value` cannot be used, or None."""
        if self.kind == "any":
            return None
        if self.kind == "truth":
            return None if isinstance(value, bool) else f"{self.name}: {value!r} is neither true nor false"
        return self._text_problem(value) if self.kind == "text" else self._number_problem(value)

    def _number_problem(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return f"{self.name}: {value!r} is not a number"
        if self.kind == "int" and not isinstance(value, int):
            return f"{self.name}: {value!r} is not a whole number"
        if value < self.low or value > self.high or (self.low_excluded and value == self.low):
            return f"{self.name}: {value!r} is outside of {self.range_text()}"
        return None

    def _text_problem(self, value: object) -> str | None:
        if not isinstance(value, str):
            return f"{self.name}: {value!r} is not text"
        if self.choices and value not in self.choices:
            return (
                f"{self.name}: {value!r} is none of {', '.join(self.choices)}{suggestions.nearest(value, self.choices)}"
            )
        return None

    def range_text(self) -> str:
        """The values it takes, for people."""
        if self.kind == "truth":
            return "true, false"
        if self.kind == "any":
            return "any"
        if self.kind == "text":
            return ", ".join(self.choices) or "text"
        low = "" if self.low == -math.inf else f"{'>' if self.low_excluded else '>='} {self.low:g}"
        high = "" if self.high == math.inf else f"<= {self.high:g}"
        return " and ".join(part for part in (low, high) if part) or "any number"


OPTIMIZERS = (
    "AdamW",
    "AdamW8bit",
    "PagedAdamW8bit",
    "Lion",
    "Lion8bit",
    "SGDNesterov",
    "AdaFactor",
    "Prodigy",
    "AdamW8bit-no-sync",
    "Prodigy-no-sync",
)
#: optimizers whose own step, in the same mathematics, never waits for the device, and whose steps they take
NO_SYNC: Mapping[str, str] = {"AdamW8bit-no-sync": "AdamW8bit", "Prodigy-no-sync": "Prodigy"}
SCHEDULERS = (
    "constant",
    "constant_with_warmup",
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
)
_EIGHT_BIT = 'optimizer_type in ["AdamW8bit", "PagedAdamW8bit", "Lion8bit", "AdamW8bit-no-sync"]'
_PRODIGY = 'optimizer_type in ["Prodigy", "Prodigy-no-sync"]'

_DIFFUSION_LORA = (
    # learning rates
    Parameter("learning_rate", "float", "Peak learning rate of the UNet's LoRA; 0 leaves the UNet alone. By default "
              "1.0 for Prodigy, which multiplies it with its own estimate, else 1e-4.", low=0, high=1000),
    Parameter("text_encoder_lr", "float", "Peak learning rate of the text encoders' LoRA. They are trained only when "
              "this or text_encoder_lr_ratio is above 0. Prodigy knows one rate: any value above 0 means "
              "learning_rate.", low=0, high=1000),
    Parameter("text_encoder_lr_ratio", "float", "text_encoder_lr as a share of learning_rate.", low=0, high=1000,
              share_of="learning_rate"),
    # the network
    Parameter("network_dim", "int", "Rank of the LoRA matrices.", low=1, high=1024, default=16),
    Parameter("network_alpha", "float", "The update is scaled by alpha / dim. By default network_dim times "
              "network_alpha_ratio.", low=0, low_excluded=True, high=1e6),
    Parameter("network_alpha_ratio", "float", "network_alpha as a share of network_dim; 1.0 when neither is given.",
              low=0, low_excluded=True, high=1e4, share_of="network_dim"),
    Parameter("network_dropout", "float", "Share of the rank activations that is dropped while training (after "
              "lora_down, as sd-scripts does).", low=0, high=0.99, default=0.0),
    # how long
    Parameter("max_train_epochs", "int", "Passes over the data set. Give one of max_train_epochs, max_train_steps, "
              "max_train_samples; 10 epochs when none is given.", unit="epochs", low=1, high=1_000_000),
    Parameter("max_train_steps", "int", "Optimizer steps.", unit="optimizer steps", low=1, high=10**9),
    Parameter("max_train_samples", "int", "Budget in samples seen, the same for every batch size.", unit="samples",
              low=1, high=10**12),
    Parameter("train_batch_size", "int", "Images in one forward pass.", unit="images", low=1, high=65_536, default=1),
    Parameter("gradient_accumulation_steps", "int", "Forward passes an optimizer step averages over.",
              unit="batches", low=1, high=65_536, default=1),
    # the optimizer
    Parameter("optimizer_type", "text", "The optimizer: torch's AdamW and SGD, transformers' AdaFactor, prodigyopt's "
              "Prodigy; the others are bitsandbytes'. 8-bit ones keep their state in 8 bits. Those ending in -no-sync "
              "take the same steps without waiting for the GPU within one; what that gains is not measured yet.",
              choices=OPTIMIZERS, default="AdamW"),
    Parameter("weight_decay", "float", "Decoupled weight decay.", low=0, high=1000, default=0.01),
    Parameter("min_8bit_size", "int", "Tensors with fewer elements keep 32-bit state; at 4096 an 8-bit optimizer is "
              "an ordinary one for small networks.", unit="elements", low=1, high=10**12, default=4096,
              when=_EIGHT_BIT),
    Parameter("d_coef", "float", "Factor on Prodigy's estimate of the step size.", low=0, low_excluded=True, high=1e6,
              default=1.0, when=_PRODIGY),
    Parameter("d0", "float", "Prodigy's first estimate of the step size; too small a value costs the first steps.",
              low=0, low_excluded=True, high=1000, default=1e-6, when=_PRODIGY),
    Parameter("max_grad_norm", "float", "Gradients are clipped to this norm; 0 turns clipping off.", low=0, high=1e9,
              default=1.0),
    # the schedule
    Parameter("lr_scheduler", "text", "How the learning rate goes on from its peak. polynomial ends at 1e-7; rates of "
              "their own for the text encoders fall by the same factor.", choices=SCHEDULERS, default="constant"),
    Parameter("lr_warmup_steps", "int", "Steps in which the learning rate climbs to its peak.",
              unit="optimizer steps", low=0, high=10**9, when='lr_scheduler != "constant"'),
    Parameter("lr_warmup_ratio", "float", "lr_warmup_steps as a share of all steps.", low=0, high=1,
              when='lr_scheduler != "constant"'),
    Parameter("lr_scheduler_num_cycles", "int", "Restarts of the cosine.", unit="cycles", low=1, high=10**6, default=1,
              when='lr_scheduler == "cosine_with_restarts"'),
    Parameter("lr_scheduler_power", "float", "Power of the polynomial decay.", low=0, low_excluded=True, high=1000,
              default=1.0, when='lr_scheduler == "polynomial"'),
    # the loss
    Parameter("min_snr_gamma", "float", "Weighs each timestep's loss by min(SNR, gamma) (Hang et al. 2023); 0 weighs "
              "all alike.", low=0, high=1e6, default=0.0),
    Parameter("noise_offset", "float", "Adds this much of a constant colour shift to the noise; 0 adds none.", low=0,
              high=1, default=0.0),
    Parameter("caption_dropout", "float", "Share of captions that are left empty while training.", low=0, high=1,
              default=0.0),
    # the pictures
    Parameter("resolution", "int", "Side of the square whose area training images are brought to. By default the "
              "base model's own.", unit="pixels", low=8, high=8192),
    Parameter("enable_bucket", "truth", "Keep aspect ratios, in buckets; otherwise images are cropped to the square.",
              default=False),
    Parameter("bucket_reso_steps", "int", "Sides of buckets are multiples of this.", unit="pixels", low=8, high=8192,
              default=64, when="enable_bucket"),
    # the machine
    Parameter("mixed_precision", "text", "Precision of the frozen base and of the passes through it; the LoRA stays "
              "in float32.", choices=("no", "fp16", "bf16"), default="no"),
    Parameter("gradient_checkpointing", "truth", "Compute activations twice to save memory.", default=False),
    Parameter("save_precision", "text", "Precision of the saved LoRA.", choices=("float", "fp16", "bf16"),
              default="float"),
    Parameter("save_format", "text", "Key layout of the saved LoRA: kohya's loads everywhere, diffusers' in diffusers.",
              choices=("kohya", "diffusers"), default="kohya"),
    Parameter("seed", "int", "Seed of the training's own randomness; by default the trial's.", low=0,
              high=2**63 - 1),
)  # fmt: skip

_COMMAND = (
    Parameter("script", "text", "The Python script to run, with the job file as its argument. Relative to the study "
              "file's folder.", is_path=True),
)  # fmt: skip


class OpenTable(dict[str, Parameter]):
    """A table that takes any further name as it is: the script knows what it means."""

    def __missing__(self, name: str) -> Parameter:
        return Parameter(name, "any", "Handed to the script as it is.")


_SD_SCRIPTS = (
    Parameter("sd_scripts", "text", "Folder of a checkout of kohya's sd-scripts; docs/howto/sd-scripts.md says how to "
              "make one that works. Relative to the study file's folder.", is_path=True),
    Parameter("sd_scripts_python", "text", "The Python interpreter of an environment that has sd-scripts' "
              "requirements; by default Tuneguard's own. Relative to the study file's folder.", is_path=True),
    *_DIFFUSION_LORA,
    # where it takes less than our own trainer
    Parameter("optimizer_type", "text", "The optimizer. 8-bit ones keep their state in 8 bits.",
              choices=tuple(name for name in OPTIMIZERS if name not in NO_SYNC), default="AdamW"),
    Parameter("bucket_reso_steps", "int", "Sides of buckets are multiples of this; sd-scripts wants a multiple of 64 "
              "for SD 1.5, of 32 for SDXL.", unit="pixels", low=8, default=64, when="enable_bucket"),
    Parameter("save_format", "text", "Key layout of the saved LoRA: sd-scripts writes kohya's.", choices=("kohya",),
              default="kohya"),
)  # fmt: skip

TRAINERS: Mapping[str, Mapping[str, Parameter]] = {
    "diffusion-lora": {parameter.name: parameter for parameter in _DIFFUSION_LORA},
    "sd-scripts": {parameter.name: parameter for parameter in _SD_SCRIPTS},
    "command": OpenTable({parameter.name: parameter for parameter in _COMMAND}),
}


#: what a trainer cannot do without
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "command": {"script": "say under `fixed` which Python script trains"},
    "sd-scripts": {"sd_scripts": "say under `fixed` where sd-scripts is checked out"},
}


def table(trainer: str) -> Mapping[str, Parameter]:
    """The parameters of `trainer`, by name.

    Raises:
        KeyError: there is no such trainer; `unknown_trainer` words it for people.
    """
    return TRAINERS[trainer]


def defaults(trainer: str, searched: Collection[str]) -> dict[str, Scalar]:
    """What a trial trains with where neither the study nor the trial says anything, but for parameters that follow."""
    return {
        name: parameter.default
        for name, parameter in table(trainer).items()
        if parameter.default is not None and name not in searched
    }


def steps_of(optimizer_type: str) -> str:
    """The optimizer, by the name that other trainers know, whose steps one takes."""
    return NO_SYNC.get(optimizer_type, optimizer_type)


def derived(trainer: str, given: Collection[str]) -> dict[str, str]:
    """Parameters that follow from `given` ones, as expressions of the rule language."""
    ratios = {name.removesuffix("_ratio"): ratio for name, ratio in table(trainer).items() if ratio.share_of}
    return {
        name: f"{ratio.share_of} * {ratio.name}"
        for name, ratio in ratios.items()
        if name not in given and ratio.name in given
    }


def unknown_trainer(trainer: str) -> str | None:
    """Say that there is no such trainer, or None."""
    if trainer in TRAINERS:
        return None
    return f"trainer: {trainer!r} is none of {', '.join(TRAINERS)}{suggestions.nearest(trainer, TRAINERS)}"


def unknown_name(trainer: str, name: str) -> str | None:
    """Say that `trainer` knows no parameter `name`, with the nearest one that it knows; or None."""
    known = table(trainer)
    if name in known or isinstance(known, OpenTable):
        return None
    return f"{name}: {trainer} has no such parameter{suggestions.nearest(name, known)}"


def missing(trainer: str, given: Collection[str]) -> list[str]:
    """What a trainer cannot do without and is not among the `given` parameters, in words."""
    return [f"{name}: missing; {what}" for name, what in _NEEDED.get(trainer, {}).items() if name not in given]


def check(trainer: str, params: Mapping[str, Scalar]) -> list[str]:
    """Find everything that is wrong with a trial's parameters; an empty list means that they can be trained."""
    unknown = unknown_trainer(trainer)
    if unknown:
        return [unknown]
    known = table(trainer)
    problems = [problem for name in params if (problem := unknown_name(trainer, name))]
    problems += [problem for name in params if name in known and (problem := known[name].problem(params[name]))]
    problems += missing(trainer, params)
    return problems or contradictions.of_point(trainer, params)
