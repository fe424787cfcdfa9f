"""A trial's settings in the words of other trainers: sd-scripts TOML, diffusers arguments, plain JSON."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping

from optimizer import errors, records
from optimizer import study as studies
from trainers import architecture, counters, sd_scripts, settings

#: where the base says nothing else: SD 1.5's own
_RESOLUTION = 512


@dataclasses.dataclass(frozen=True)
class Exported:
    """One file of an export. `suffix` is put before the ending of the name that a person gives: best.dataset.toml."""

    suffix: str
    text: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A trial to export, in its study."""

    study: studies.Study
    record: records.TrialRecord
    counter: counters.StepCounter

    @property
    def title(self) -> str:
        return f"# trial {self.record.number} of the study {self.study.name}\n"

    @property
    def base(self) -> str:
        """The base as other trainers can load it."""
        return str(architecture.DEMO / "base") if self.study.base == "demo" else self.study.base

    @property
    def trained(self) -> settings.LoraSettings:
        """What it trained with, defaults and ratios worked out."""
        params = studies.complete(self.study, self.record.params)
        return settings.lora_settings(params, self.study.search.seed)


def to_sd_scripts(source: Source) -> tuple[Exported, ...]:
    """What `train_network.py` is started with: `--config_file` and `--dataset_config`.

    Raises:
        errors.BadInput: it cannot be known how many steps the trial took.
    """
    own = source.trained
    plan = source.counter.plan(own)
    if plan is None:
        raise errors.BadInput(
            f"trial {source.record.number}: its steps cannot be counted, since they depend on the base's resolution: "
            f"{source.base} is not here"
        )
    output = pathlib.Path("output") / f"{source.study.name}-{source.record.number}.safetensors"
    options = sd_scripts.config(own, plan, source.base, output)
    images = sd_scripts.dataset_config(own, source.study.dataset, own.resolution or _RESOLUTION)
    return (
        Exported("", source.title + "# for --config_file\n" + sd_scripts.toml(options)),
        Exported(".dataset", source.title + "# for --dataset_config\n" + sd_scripts.toml(images)),
    )


def to_diffusers(source: Source) -> tuple[Exported, ...]:
    """Arguments for diffusers' train_text_to_image_lora.py, one a line.

    That script has no alpha of its own: it trains with alpha equal to the rank, so the same learning rate acts
    differently where this trial's alpha is another.
    """
    own = source.trained
    arguments: dict[str, object] = {
        "pretrained_model_name_or_path": source.base,
        "train_data_dir": source.study.dataset.path,
        "rank": own.network_dim,
        "learning_rate": own.learning_rate,
        "lr_scheduler": own.lr_scheduler,
        "lr_warmup_steps": own.lr_warmup_steps,
        "train_batch_size": own.train_batch_size,
        "gradient_accumulation_steps": own.gradient_accumulation_steps,
        "num_train_epochs": own.max_train_epochs,
        "max_grad_norm": own.max_grad_norm,
        "resolution": own.resolution or _RESOLUTION,
        "mixed_precision": own.mixed_precision,
        "noise_offset": own.noise_offset,
        "seed": own.seed,
    }
    if own.min_snr_gamma > 0:
        arguments["snr_gamma"] = own.min_snr_gamma
    lines = [f"--{name}={value}\n" for name, value in arguments.items()]
    if own.optimizer_type == "AdamW8bit":
        lines.append("--use_8bit_adam\n")
    warning = (
        f"# the script sets alpha to the rank; this trial has alpha {own.network_alpha:g}, rank {own.network_dim}\n"
    )
    return (Exported("", source.title + warning + "".join(lines)),)


def to_json(source: Source) -> tuple[Exported, ...]:
    """Everything about the trial."""
    study, record = source.study, source.record
    content = {
        "study": study.name,
        "trial": record.number,
        "trainer": study.trainer,
        "base": source.base,
        "dataset": study.dataset.model_dump(),
        "params": studies.complete(study, record.params),
        "values": dict(record.values),
        "rules": record.rule_version,
        "lora": record.lora,
    }
    return (Exported("", json.dumps(content, indent=1) + "\n"),)


FORMATS: Mapping[str, Callable[[Source], tuple[Exported, ...]]] = {
    "sd-scripts": to_sd_scripts,
    "diffusers": to_diffusers,
    "json": to_json,
}
