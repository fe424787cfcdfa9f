"""A trial in the words of kohya's sd-scripts: the two TOML files its `train_network.py` is started with. Torch-free.

sd-scripts takes an unknown option silently and does not convert kinds (`lr_warmup_steps = 100.0` is a hundred times
the whole run), so only options that its argument parser knows are written, each in the kind it expects. Names are those
of its `train_network.py`, `library/train_util.py` and `library/config_util.py`; docs/howto/sd-scripts.md says which
were read.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainers.contract import errors
from trainers.data import buckets, dataset
from trainers.kohya import images as images_on_disk
from trainers.lora import architecture, noise, parameters, settings, steps

#: family -> the script that trains it
SCRIPTS = {"sd15": "train_network.py", "sdxl": "sdxl_train_network.py"}

#: every option that may be written for `--config_file`; one that a checkout does not know would be left out in silence
OPTIONS = (
    *("pretrained_model_name_or_path", "v2", "v_parameterization", "zero_terminal_snr", "tokenizer_cache_dir"),
    *("output_dir", "output_name", "save_model_as", "save_precision"),
    *("network_module", "network_dim", "network_alpha", "network_dropout"),
    *("network_train_unet_only", "network_train_text_encoder_only"),
    *("learning_rate", "unet_lr", "text_encoder_lr", "optimizer_type", "optimizer_args", "max_grad_norm"),
    *("lr_scheduler", "lr_warmup_steps", "lr_scheduler_num_cycles", "lr_scheduler_power"),
    *("max_train_steps", "gradient_accumulation_steps", "seed", "min_snr_gamma", "noise_offset"),
    *("mixed_precision", "gradient_checkpointing", "cache_latents", "no_half_vae", "sdpa"),
)

#: where sd-scripts looks for a family's tokenizers below `tokenizer_cache_dir`, and their folders in a base
_TOKENIZERS: Mapping[str, Mapping[str, str]] = {
    "sd15": {"openai_clip-vit-large-patch14": "tokenizer"},
    "sd2": {"stabilityai_stable-diffusion-2": "tokenizer"},
    "sdxl": {
        "openai_clip-vit-large-patch14": "tokenizer",
        "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k": "tokenizer_2",
    },
}
#: what its tokenizers are read from; without them it asks the hub
_VOCABULARY = ("vocab.json", "merges.txt")
#: channels of the conditioning by which Stable Diffusion 2 is told from 1.5
_SD2_CONTEXT = 1024

#: arguments that an optimizer takes beside the learning rate
_ARGUMENTS: Mapping[str, Sequence[str]] = {
    "AdamW8bit": ("min_8bit_size",),
    "PagedAdamW8bit": ("min_8bit_size",),
    "Lion8bit": ("min_8bit_size",),
    "Prodigy": ("d_coef", "d0"),
}
_FIXED_ARGUMENTS: Mapping[str, Sequence[str]] = {
    "Prodigy": ("safeguard_warmup=True", "use_bias_correction=True"),
    "AdaFactor": ("relative_step=False", "scale_parameter=False", "warmup_init=False"),
}


@dataclasses.dataclass(frozen=True)
class BaseTraits:
    """What sd-scripts has to know of a base.

    `source` is what it loads: a folder, a file or a hub id. `configuration` is the folder in diffusers' layout that
    describes the base, None for a single file that has none beside it. `resolution` is the side in pixels of the
    square that the base was made for.
    """

    source: str
    family: architecture.Family
    resolution: int
    is_sd2: bool
    noise: noise.Noise
    configuration: pathlib.Path | None


def base(source: str) -> BaseTraits | None:
    """Read what a base says of itself; None where it is not here, or of no family that is known."""
    path = architecture.locate(source)
    if path is None:
        return None
    described = path if path.is_dir() else path.with_suffix("")
    configuration = described if (described / "model_index.json").is_file() else None
    shape = architecture.read(str(configuration or path))
    if shape is None:
        return None
    try:
        known = noise.STABLE_DIFFUSION if configuration is None else noise.read(configuration)
    except (OSError, ValueError, TypeError):
        return None
    return BaseTraits(
        source=str(path) if source == "demo" else source,
        family=shape.family,
        resolution=shape.resolution,
        is_sd2=shape.family == "sd15" and shape.context == _SD2_CONTEXT,
        noise=known,
        configuration=configuration,
    )


def known_base(source: str) -> BaseTraits:
    """As `base`, for one that must be here.

    Raises:
        errors.ModelError: it is not.
    """
    found = base(source)
    if found is None:
        raise errors.ModelError(
            f"base {source!r}: what it was made for (resolution, prediction) cannot be read here; name a folder in "
            "diffusers' layout, a .safetensors file, or fetch it beforehand: hf download " + source
        )
    return found


def tokenizers(base: BaseTraits) -> Mapping[str, pathlib.Path]:
    """The base's own tokenizers by the names under which sd-scripts looks for them; empty where it cannot read them."""
    if base.configuration is None:
        return {}
    names = _TOKENIZERS["sd2" if base.is_sd2 else base.family]
    found = {name: (base.configuration / folder).absolute() for name, folder in names.items()}
    readable = all((folder / file).is_file() for folder in found.values() for file in _VOCABULARY)
    return found if readable else {}


@dataclasses.dataclass(frozen=True)
class Files:
    """The text of the two files: for `--config_file` and for `--dataset_config`."""

    config: str
    dataset: str


def plan(trial: settings.LoraSettings, pictures: Sequence[dataset.TrainingImage], base: BaseTraits) -> steps.StepPlan:
    """Count the steps of a trial: sd-scripts is told how many, and how many of them warm up."""
    groups = buckets.group(pictures, trial, trial.resolution or base.resolution, buckets.sd_scripts_size)
    return steps.plan(buckets.batches_per_epoch(map(len, groups.values()), trial.train_batch_size), trial)


def files(
    trial: settings.LoraSettings,
    plan: steps.StepPlan,
    base: BaseTraits,
    folders: Sequence[images_on_disk.Folder],
    output: pathlib.Path,
    *,
    flip: bool,
    tokenizer_folder: pathlib.Path | None = None,
) -> Files:
    """What sd-scripts is started with, whether by us or by a person; see `config` and `dataset_config`."""
    options = config(trial, plan, base, output, tokenizer_folder=tokenizer_folder)
    images = dataset_config(trial, folders, trial.resolution or base.resolution, flip=flip)
    return Files(toml(options), toml(images))


def config(
    trial: settings.LoraSettings,
    plan: steps.StepPlan,
    base: BaseTraits,
    output: pathlib.Path,
    *,
    tokenizer_folder: pathlib.Path | None = None,
) -> dict[str, Any]:
    """Options for `--config_file`: network, optimizer, schedule, output.

    Args:
        output: the LoRA file to write.
        tokenizer_folder: holds the base's tokenizers as `tokenizers` names them; sd-scripts asks the hub without it.
    """
    options: dict[str, Any] = {
        "pretrained_model_name_or_path": base.source,
        "output_dir": str(output.parent),
        "output_name": output.stem,
        "save_model_as": "safetensors",
        "save_precision": trial.save_precision,
        "network_module": "networks.lora",
        "network_dim": trial.network_dim,
        "network_alpha": trial.network_alpha,
        # schedules are made from this rate even where the UNet is left alone, and some refuse 0
        "learning_rate": trial.learning_rate or trial.text_encoder_lr,
        "unet_lr": trial.learning_rate,
        "optimizer_type": parameters.steps_of(trial.optimizer_type),
        "optimizer_args": _optimizer_arguments(trial),
        "lr_scheduler": trial.lr_scheduler,
        "lr_warmup_steps": plan.warmup_steps,
        "lr_scheduler_num_cycles": trial.lr_scheduler_num_cycles,
        "lr_scheduler_power": trial.lr_scheduler_power,
        "max_train_steps": plan.total_steps,
        "gradient_accumulation_steps": trial.gradient_accumulation_steps,
        "max_grad_norm": trial.max_grad_norm,
        "mixed_precision": trial.mixed_precision,
        "gradient_checkpointing": trial.gradient_checkpointing,
        "seed": trial.seed % 2**32,
        "cache_latents": True,
        "no_half_vae": True,
        "sdpa": True,
    }
    if trial.text_encoder_lr > 0:
        # its parser takes a list since several encoders may have rates of their own, and one number before and since
        options["text_encoder_lr"] = trial.text_encoder_lr
    else:  # otherwise it would train the text encoder at the full learning rate
        options["network_train_unet_only"] = True
    wanted = {
        "network_train_text_encoder_only": trial.learning_rate == 0,
        "network_dropout": trial.network_dropout,
        "min_snr_gamma": trial.min_snr_gamma,
        "noise_offset": trial.noise_offset,
        "v2": base.is_sd2,
        "v_parameterization": base.noise.prediction_type == "v_prediction",
        "zero_terminal_snr": base.noise.rescale_betas_zero_snr,
        "tokenizer_cache_dir": None if tokenizer_folder is None else str(tokenizer_folder),
    }
    return options | {name: value for name, value in wanted.items() if value}


def dataset_config(
    trial: settings.LoraSettings, folders: Sequence[images_on_disk.Folder], resolution: int, *, flip: bool
) -> dict[str, Any]:
    """Content of `--dataset_config`: one data set, a subset for each folder of images.

    Its buckets are ours (`trainers.data.buckets`); left alone sd-scripts knows none below 256 pixels, none above 1024,
    and refuses to train at another resolution.
    """
    content: dict[str, Any] = {
        "resolution": resolution,
        "batch_size": trial.train_batch_size,
        "enable_bucket": trial.enable_bucket,
    }
    if trial.enable_bucket:
        step = trial.bucket_reso_steps
        most = 2 * resolution // step * step  # it would round up what is not a multiple
        content |= {"bucket_reso_steps": step, "min_bucket_reso": step, "max_bucket_reso": most}
    content["subsets"] = [
        {
            "image_dir": str(folder.path),
            "num_repeats": folder.repeats,
            "flip_aug": flip,
            "caption_dropout_rate": trial.caption_dropout,
        }
        for folder in folders
    ]
    return {"general": {"caption_extension": ".txt"}, "datasets": [content]}


def toml(content: Mapping[str, Any], name: str = "") -> str:
    """TOML of nested mappings and lists of mappings; numbers and truths keep their kind."""
    lines, below = [], []
    for key, value in content.items():
        path = f"{name}.{key}" if name else key
        if isinstance(value, Mapping):
            below.append(f"\n[{path}]\n{toml(value, path)}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            below += [f"\n[[{path}]]\n{toml(each, path)}" for each in value]
        else:
            # TOML's strings are JSON's, but for halves of characters and the control character DEL
            text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
            lines.append(f"{key} = {text}\n")
    return "".join(lines + below)


def _optimizer_arguments(trial: settings.LoraSettings) -> list[str]:
    optimizer = parameters.steps_of(trial.optimizer_type)
    named = ["weight_decay", *_ARGUMENTS.get(optimizer, ())]
    arguments = [f"{name}={getattr(trial, name)}" for name in named]
    return [*arguments, *_FIXED_ARGUMENTS.get(optimizer, ())]
