"""What a LoRA file says about itself: kohya's `ss_*` fields, Stability's ModelSpec, and our own record. Torch-free."""

import collections
import datetime
import json
from collections.abc import Mapping
from typing import Any

from trainers.contract import job
from trainers.data import buckets, dataset
from trainers.lora import settings, steps

_BASE_VERSIONS = {"sd15": "sd_v1", "sdxl": "sdxl_base_v1-0"}
_ARCHITECTURES = {"sd15": "stable-diffusion-v1/lora", "sdxl": "stable-diffusion-xl-v1-base/lora"}


def describe(
    train_job: job.TrainJob,
    spec: job.TrialSpec,
    trial: settings.LoraSettings,
    plan: steps.StepPlan,
    facts: dataset.DatasetFacts,
    *,
    family: str,
    base_sha256: str,
    resolution: int,
    started: float,
    finished: float,
) -> dict[str, str]:
    """All metadata of a trial's LoRA file; every value is text, as the format demands.

    Args:
        started: seconds since the epoch when training began; `finished` when it ended.
    """
    name = f"{train_job.study}-{spec.number:04d}"
    size = f"{resolution}x{resolution}"
    fields: dict[str, Any] = {
        "ss_v2": False,
        "ss_base_model_version": _BASE_VERSIONS[family],
        "ss_network_module": "networks.lora",
        "ss_network_dim": trial.network_dim,
        "ss_network_alpha": trial.network_alpha,
        "ss_network_args": {},
        "ss_network_dropout": trial.network_dropout,
        "ss_output_name": name,
        "ss_session_id": spec.number,
        "ss_training_started_at": started,
        "ss_training_finished_at": finished,
        "ss_learning_rate": trial.learning_rate,
        "ss_unet_lr": trial.learning_rate,
        "ss_text_encoder_lr": trial.text_encoder_lr,
        "ss_optimizer": f"{trial.optimizer_type}(weight_decay={trial.weight_decay})",
        "ss_lr_scheduler": trial.lr_scheduler,
        "ss_lr_warmup_steps": plan.warmup_steps,
        "ss_lr_scheduler_num_cycles": trial.lr_scheduler_num_cycles,
        "ss_lr_scheduler_power": trial.lr_scheduler_power,
        "ss_max_train_steps": plan.total_steps,
        "ss_num_epochs": plan.epochs,
        "ss_epoch": plan.epochs,
        "ss_steps": plan.total_steps,
        "ss_batch_size_per_device": trial.train_batch_size,
        "ss_total_batch_size": plan.effective_batch,
        "ss_gradient_accumulation_steps": trial.gradient_accumulation_steps,
        "ss_gradient_checkpointing": trial.gradient_checkpointing,
        "ss_mixed_precision": trial.mixed_precision,
        "ss_seed": trial.seed,
        "ss_clip_skip": None,
        "ss_max_grad_norm": trial.max_grad_norm,
        "ss_min_snr_gamma": trial.min_snr_gamma or None,
        "ss_noise_offset": trial.noise_offset or None,
        "ss_caption_dropout_rate": trial.caption_dropout,
        "ss_num_train_images": facts.samples_per_epoch,
        "ss_num_reg_images": 0,
        "ss_num_batches_per_epoch": plan.batches_per_epoch,
        "ss_resolution": f"({resolution}, {resolution})",
        "ss_enable_bucket": trial.enable_bucket,
        "ss_bucket_info": _bucket_info(facts, trial, resolution),
        "ss_dataset_dirs": _dataset_dirs(facts),
        "ss_tag_frequency": _tag_frequency(facts),
        "ss_sd_model_name": train_job.base,
        "ss_new_sd_model_hash": base_sha256,
        "ss_training_comment": f"tuneguard study {train_job.study}, trial {spec.number}",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": _ARCHITECTURES[family],
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": name,
        "modelspec.resolution": size,
        "modelspec.date": datetime.datetime.fromtimestamp(finished, datetime.UTC).isoformat(timespec="seconds"),
        "tuneguard.study": train_job.study,
        "tuneguard.trial": spec.number,
        "tuneguard.params": dict(spec.params),
        "tuneguard.dataset_hash": facts.hash,
    }
    record = {f"tuneguard.{key}": value for key, value in train_job.record.items()}
    return {key: _text(value) for key, value in {**fields, **record}.items()}


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def _bucket_info(facts: dataset.DatasetFacts, trial: settings.LoraSettings, resolution: int) -> dict[str, Any]:
    groups = buckets.group(facts.pictures, trial, resolution)
    return {
        "buckets": {
            str(number): {"resolution": list(size), "count": len(members)}
            for number, (size, members) in enumerate(groups.items())
        }
    }


def _dataset_dirs(facts: dataset.DatasetFacts) -> dict[str, Any]:
    folders: dict[str, Any] = {}
    for picture in facts.pictures:
        entry = folders.setdefault(picture.place.path.parent.name, {"n_repeats": picture.repeats, "img_count": 0})
        entry["img_count"] += 1
    return folders


def _tag_frequency(facts: dataset.DatasetFacts) -> dict[str, dict[str, int]]:
    frequency: dict[str, collections.Counter[str]] = {}
    for picture in facts.pictures:
        tags = (tag.strip() for tag in picture.caption.split(","))
        frequency.setdefault(picture.place.path.parent.name, collections.Counter()).update(tag for tag in tags if tag)
    return {folder: dict(counter) for folder, counter in frequency.items()}
