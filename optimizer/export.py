"""A trial's settings in the words of other trainers: sd-scripts TOML, diffusers arguments, plain JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from optimizer import records
from optimizer import study as studies

#: our parameter -> sd-scripts option, where the name is the same but for these
_SD_SCRIPTS = {
    "learning_rate": "learning_rate",
    "network_dim": "network_dim",
    "max_train_epochs": "max_train_epochs",
    "optimizer_type": "optimizer_type",
    "lr_scheduler": "lr_scheduler",
    "lr_scheduler_num_cycles": "lr_scheduler_num_cycles",
    "lr_scheduler_power": "lr_scheduler_power",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "max_grad_norm": "max_grad_norm",
    "min_snr_gamma": "min_snr_gamma",
    "noise_offset": "noise_offset",
    "network_dropout": "network_dropout",
    "mixed_precision": "mixed_precision",
    "gradient_checkpointing": "gradient_checkpointing",
    "seed": "seed",
}
#: parameters that sd-scripts takes as `optimizer_args`, "name=value"
_OPTIMIZER_ARGUMENTS = ("d_coef", "d0", "weight_decay")

#: our parameter -> argument of diffusers' train_text_to_image_lora.py
_DIFFUSERS = {
    "learning_rate": "learning_rate",
    "network_dim": "rank",
    "max_train_epochs": "num_train_epochs",
    "lr_scheduler": "lr_scheduler",
    "lr_warmup_steps": "lr_warmup_steps",
    "train_batch_size": "train_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "max_grad_norm": "max_grad_norm",
    "min_snr_gamma": "snr_gamma",
    "noise_offset": "noise_offset",
    "mixed_precision": "mixed_precision",
    "resolution": "resolution",
    "seed": "seed",
}


def sd_scripts(study: studies.Study, record: records.TrialRecord) -> str:
    """TOML for `train_network.py --config_file`; only options that it knows, since it takes unknown ones silently.

    Numbers keep their kind: a warmup of 100.0 would be read as a hundred times the whole run.
    """
    params = studies.complete(study, record.params)
    options: dict[str, Any] = {"pretrained_model_name_or_path": study.base, "network_module": "networks.lora"}
    options |= {option: params[name] for name, option in _SD_SCRIPTS.items() if name in params}
    options["network_alpha"] = alpha(params)
    options |= _learning_rates(params)
    if "lr_warmup_steps" in params:
        options["lr_warmup_steps"] = int(params["lr_warmup_steps"])
    elif "lr_warmup_ratio" in params:
        options["lr_warmup_steps"] = float(params["lr_warmup_ratio"])
    arguments = [f"{name}={params[name]}" for name in _OPTIMIZER_ARGUMENTS if name in params]
    if arguments:
        options["optimizer_args"] = arguments
    dataset = {
        "resolution": int(params.get("resolution", 512)),
        "batch_size": int(params.get("train_batch_size", 1)),
        "enable_bucket": True,
    }
    subset = {
        "image_dir": study.dataset.path,
        "caption_extension": ".txt",
        "num_repeats": study.dataset.repeats,
        "flip_aug": study.dataset.flip,
    }
    return (
        f"# trial {record.number} of the study {study.name}\n"
        f"# config_file: network and optimizer; the part from [general] on is the dataset_config\n"
        + _toml(options)
        + "\n[general]\n"
        + "\n[[datasets]]\n"
        + _toml(dataset)
        + "\n  [[datasets.subsets]]\n"
        + _toml(subset, indent="  ")
    )


def diffusers(study: studies.Study, record: records.TrialRecord) -> str:
    """Arguments for diffusers' train_text_to_image_lora.py, one a line.

    That script has no alpha of its own: it trains with alpha equal to the rank, so the learning rate is not the same.
    """
    params = studies.complete(study, record.params)
    lines = [
        f"# trial {record.number} of the study {study.name}",
        f"# the script sets alpha = rank; this trial has alpha {alpha(params):g}, rank {params['network_dim']}",
        f"--pretrained_model_name_or_path={study.base}",
        f"--train_data_dir={study.dataset.path}",
    ]
    lines += [f"--{option}={params[name]}" for name, option in _DIFFUSERS.items() if name in params]
    if params.get("optimizer_type") == "AdamW8bit":
        lines.append("--use_8bit_adam")
    return "\n".join(lines) + "\n"


def plain(study: studies.Study, record: records.TrialRecord) -> str:
    """Everything about the trial, as JSON."""
    return (
        json.dumps(
            {
                "study": study.name,
                "trial": record.number,
                "trainer": study.trainer,
                "base": study.base,
                "dataset": study.dataset.model_dump(),
                "params": studies.complete(study, record.params),
                "values": dict(record.values),
                "rules": record.rule_version,
                "lora": record.lora,
            },
            indent=1,
        )
        + "\n"
    )


FORMATS: Mapping[str, Callable[[studies.Study, records.TrialRecord], str]] = {
    "sd-scripts": sd_scripts,
    "diffusers": diffusers,
    "json": plain,
}


def alpha(params: Mapping[str, Any]) -> float:
    """network_alpha as the trainer uses it: given, or dim times the ratio, or dim."""
    dim = float(params.get("network_dim", 4))
    if "network_alpha" in params:
        return float(params["network_alpha"])
    return dim * float(params.get("network_alpha_ratio", 1.0))


def _learning_rates(params: Mapping[str, Any]) -> dict[str, Any]:
    """sd-scripts trains the text encoder at the full learning rate unless it is told, so it always is."""
    rate = float(params.get("learning_rate", 1.0))
    if "text_encoder_lr" in params:
        text = float(params["text_encoder_lr"])
    else:
        text = rate * float(params.get("text_encoder_lr_ratio", 0.0))
    if text == 0:
        return {"unet_lr": rate, "network_train_unet_only": True}
    return {"unet_lr": rate, "text_encoder_lr": text}


def _toml(options: Mapping[str, Any], indent: str = "") -> str:
    return "".join(f"{indent}{name} = {_value(value)}\n" for name, value in options.items())


def _value(value: Any) -> str:
    """JSON's text, numbers, lists and truths are TOML's."""
    return json.dumps(value, ensure_ascii=False)
