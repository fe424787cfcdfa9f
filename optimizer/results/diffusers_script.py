"""A trial as arguments of diffusers' example scripts for LoRAs, and what of it they cannot carry.

They are `train_text_to_image_lora.py` (SD 1.5) and `train_text_to_image_lora_sdxl.py` of `examples/text_to_image`;
docs/howto/other-trainers.md says which version was read. Both have AdamW and its 8-bit form alone, an alpha that equals
the rank, one learning rate, and square crops.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from trainers.data import dataset
from trainers.kohya import images as sd_scripts_images
from trainers.kohya import settings as kohya_settings
from trainers.lora import architecture, parameters, settings, steps

#: family -> the script that trains it
SCRIPTS: dict[architecture.Family, str] = {
    "sd15": "train_text_to_image_lora.py",
    "sdxl": "train_text_to_image_lora_sdxl.py",
}
#: a norm that no gradient reaches: with 0, which turns clipping off here, the script would make every gradient 0
_NEVER = 1e30
#: bitsandbytes' own
_MIN_8BIT_SIZE = 4096


@dataclasses.dataclass(frozen=True)
class ScriptArguments:
    """Arguments for `script`, one a line; `lost` names what it cannot carry, `remarks` what it does in its own way."""

    script: str
    text: str
    lost: tuple[str, ...]
    remarks: tuple[str, ...]
    needs_images: bool


def told(
    own: settings.LoraSettings,
    plan: steps.StepPlan,
    base: kohya_settings.BaseTraits,
    pictures: Sequence[dataset.TrainingImage],
    *,
    flip: bool,
    output: str,
    images: pathlib.Path | None,
) -> ScriptArguments:
    """Word a trial for the script of its family.

    Args:
        output: the folder that the script shall write to.
        images: the folder that the data set can be written to with its captions; None where none is.
    """
    folder = _imagefolder(pictures)
    data = folder or images
    arguments: dict[str, object] = {
        "pretrained_model_name_or_path": base.source,
        "train_data_dir": data or pictures[0].place.path.parent,
        "output_dir": output,
        "rank": own.network_dim,
        "learning_rate": own.learning_rate,
        "lr_scheduler": own.lr_scheduler,
        "lr_warmup_steps": plan.warmup_steps,
        "max_train_steps": plan.total_steps,
        "train_batch_size": own.train_batch_size,
        "gradient_accumulation_steps": own.gradient_accumulation_steps,
        "adam_weight_decay": own.weight_decay,
        "max_grad_norm": own.max_grad_norm or _NEVER,
        "resolution": own.resolution or base.resolution,
        "prediction_type": base.noise.prediction_type,
        "mixed_precision": own.mixed_precision,
        "noise_offset": own.noise_offset,
        "seed": own.seed % 2**32,
    }
    if own.min_snr_gamma > 0:
        arguments["snr_gamma"] = own.min_snr_gamma
    switches = {
        "center_crop": True,
        "random_flip": flip,
        "gradient_checkpointing": own.gradient_checkpointing,
        "use_8bit_adam": parameters.steps_of(own.optimizer_type) == "AdamW8bit",
        "train_text_encoder": base.family == "sdxl" and own.text_encoder_lr > 0,
    }
    lines = [f"--{name}={value}" for name, value in arguments.items()]
    lines += [f"--{name}" for name, is_on in switches.items() if is_on]
    lost = [*_lost(own, base), *_lost_data(own, pictures)]
    if data is None:
        lost.append("captions: it reads them from a metadata.jsonl alone; with -o one is written beside it")
    return ScriptArguments(
        script=SCRIPTS[base.family],
        text="".join(f"{line}\n" for line in lines),
        lost=tuple(lost),
        remarks=(
            "the script adapts to_q, to_k, to_v and to_out of the attention alone; this trial adapted the other linear "
            "layers of the transformer blocks too",
        ),
        needs_images=folder is None and images is not None,
    )


def _lost(own: settings.LoraSettings, base: kohya_settings.BaseTraits) -> Iterator[str]:
    """Settings of the network, optimizer and schedule that the script has no argument for."""
    optimizer = parameters.steps_of(own.optimizer_type)
    if optimizer not in ("AdamW", "AdamW8bit"):
        yield f"optimizer_type: {own.optimizer_type}; the script has AdamW and AdamW8bit alone"
    elif optimizer == "AdamW8bit" and own.min_8bit_size != _MIN_8BIT_SIZE:
        yield f"min_8bit_size: {own.min_8bit_size}; the script leaves it at {_MIN_8BIT_SIZE}"
    if own.network_alpha != own.network_dim:
        yield f"network_alpha: {own.network_alpha:g}; the script sets alpha to the rank, {own.network_dim}"
    if own.network_dropout:
        yield f"network_dropout: {own.network_dropout:g}; the script drops nothing"
    if own.learning_rate == 0:
        yield "learning_rate: 0; the script always trains the UNet"
    if own.text_encoder_lr > 0 and (base.family == "sd15" or own.text_encoder_lr != own.learning_rate):
        has = "trains no text encoder" if base.family == "sd15" else "trains them at the UNet's rate"
        yield f"text_encoder_lr: {own.text_encoder_lr:g}; the script {has}"
    if own.lr_scheduler == "cosine_with_restarts" and own.lr_scheduler_num_cycles != 1:
        yield f"lr_scheduler_num_cycles: {own.lr_scheduler_num_cycles}; the script makes one cycle"
    if own.lr_scheduler == "polynomial" and own.lr_scheduler_power != 1:
        yield f"lr_scheduler_power: {own.lr_scheduler_power:g}; the script has the power 1"
    if own.save_precision != "float":
        yield f"save_precision: {own.save_precision}; the script saves float32"
    if base.configuration is None or pathlib.Path(base.source).suffix == ".safetensors":
        yield f"base: {base.source} is a single file; the script loads folders in diffusers' layout and hub ids"


def _lost_data(own: settings.LoraSettings, pictures: Sequence[dataset.TrainingImage]) -> Iterator[str]:
    """What the script does otherwise with the images."""
    if own.caption_dropout:
        yield f"caption_dropout: {own.caption_dropout:g}; the script leaves no caption out"
    if own.enable_bucket:
        yield "enable_bucket: true; the script crops every image to the square"
    repeats = {picture.repeats for picture in pictures}
    if len(repeats) > 1:
        counts = ", ".join(map(str, sorted(repeats)))
        yield f"repeats: images are shown {counts} times an epoch; the script shows each as often as any other"


def _imagefolder(pictures: Sequence[dataset.TrainingImage]) -> pathlib.Path | None:
    """The one folder whose metadata.jsonl names all the images, if the data set lies like that."""
    folders = {picture.place.path.parent for picture in pictures}
    if len(folders) != 1 or any(picture.place.member for picture in pictures):
        return None
    (folder,) = folders
    return folder if (folder / sd_scripts_images.METADATA).is_file() else None
