"""A trial in the words of kohya's sd-scripts: the two TOML files its `train_network.py` is started with. Torch-free.

sd-scripts takes an unknown option silently and does not convert kinds (`lr_warmup_steps = 100.0` is a hundred times
the whole run), so only options that its argument parser knows are written, each in the kind it expects. Names are those
of its `train_network.py`, `library/train_util.py` and `library/config_util.py`; docs/log.md says which were read.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from trainers import dataset, job, settings, steps

#: family -> the script that trains it
SCRIPTS = {"sd15": "train_network.py", "sdxl": "sdxl_train_network.py"}

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


def config(
    trial: settings.LoraSettings, plan: steps.StepPlan, base: str, output: pathlib.Path, *, v_prediction: bool = False
) -> dict[str, Any]:
    """Options for `--config_file`: network, optimizer, schedule, output. `output` names the LoRA file to write."""
    options: dict[str, Any] = {
        "pretrained_model_name_or_path": base,
        "output_dir": str(output.parent),
        "output_name": output.stem,
        "save_model_as": "safetensors",
        "save_precision": trial.save_precision,
        "network_module": "networks.lora",
        "network_dim": trial.network_dim,
        "network_alpha": trial.network_alpha,
        "learning_rate": trial.learning_rate,
        "unet_lr": trial.learning_rate,
        "optimizer_type": trial.optimizer_type,
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
        "network_dropout": trial.network_dropout,
        "min_snr_gamma": trial.min_snr_gamma,
        "noise_offset": trial.noise_offset,
        "v_parameterization": v_prediction,
    }
    return options | {name: value for name, value in wanted.items() if value}


def dataset_config(trial: settings.LoraSettings, images: job.Dataset, resolution: int) -> dict[str, Any]:
    """Content of `--dataset_config`: one data set, a subset for each folder of images.

    Its buckets are ours (`trainers.buckets`); left alone sd-scripts knows none below 256 pixels, none above 1024, and
    refuses to train at another resolution.
    """
    content: dict[str, Any] = {
        "resolution": resolution,
        "batch_size": trial.train_batch_size,
        "enable_bucket": trial.enable_bucket,
    }
    if trial.enable_bucket:
        step = trial.bucket_reso_steps
        content |= {"bucket_reso_steps": step, "min_bucket_reso": step, "max_bucket_reso": 2 * resolution}
    content["subsets"] = [
        {
            "image_dir": str(folder),
            "num_repeats": repeats,
            "flip_aug": images.flip,
            "caption_dropout_rate": trial.caption_dropout,
        }
        for folder, repeats in dataset.image_folders(images)
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
            lines.append(f"{key} = {json.dumps(value)}\n")
    return "".join(lines + below)


def _optimizer_arguments(trial: settings.LoraSettings) -> list[str]:
    named = ["weight_decay", *_ARGUMENTS.get(trial.optimizer_type, ())]
    arguments = [f"{name}={getattr(trial, name)}" for name in named]
    return [*arguments, *_FIXED_ARGUMENTS.get(trial.optimizer_type, ())]
