"""Test functions that look like LoRA training: a narrow good region, interactions, and regions that fail.

Each has the parameters, the rules that a careful person would write (they cover a part of the failures, and a little
more), a loss of a point in [0, about 1.5], and failures that only training shows. They are synthetic: they rank
searches, they say nothing about any model.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

Point = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Landscape:
    """`loss` is None where training fails; `parameters` and `rules` are as files write them."""

    name: str
    parameters: Mapping[str, Any]
    rules: tuple[Mapping[str, Any], ...]
    loss: Callable[[Point], float | None]


def _log_distance(value: float, best: float) -> float:
    return math.log10(value / best)


def _ridge(point: Point) -> float | None:
    """The update's size, rate times alpha by rank, must be right; too large diverges, as does a large rank with it."""
    update = point["learning_rate"] * point["network_alpha"] / point["network_dim"]
    if update > 2.5e-4:
        return None
    steps = point["train_batch_size"] * point["max_train_epochs"]
    loss = 0.5 * _log_distance(update, 1.2e-4) ** 2 + 0.25 * _log_distance(steps, 60) ** 2
    return float(
        loss + 0.1 * abs(math.log2(point["network_dim"] / 32)) / 3 + 0.4 * (point["network_dropout"] - 0.1) ** 2
    )


def _memory(point: Point) -> float | None:
    """The best points lie close to the end of memory; the optimizer shifts the best rate."""
    memory = point["network_dim"] / 16 + point["train_batch_size"] * (point["resolution"] / 512) ** 2 * 2.0
    if memory > 14:
        return None
    best = {"AdamW": 1e-4, "AdamW8bit": 6e-5, "Lion": 2e-5}[point["optimizer_type"]]
    if point["learning_rate"] > 12 * best:
        return None
    loss = 0.3 * _log_distance(point["learning_rate"], best * math.sqrt(point["train_batch_size"] / 2)) ** 2
    return float(loss + 0.5 * (1 - memory / 14) + 0.1 * (point["resolution"] != 768))


def _schedule(point: Point) -> float | None:
    """Warm-up, restarts and rate hang together; two good regions, one better."""
    rate, warmup = point["learning_rate"], point["lr_warmup_ratio"]
    if rate > 5e-4 * (0.2 + warmup * 8) or (point["noise_offset"] > 0.1 and rate > 2e-4):
        return None
    first = _log_distance(rate, 3e-4) ** 2 + 8 * (warmup - 0.12) ** 2 + 20 * (point["noise_offset"] - 0.05) ** 2
    second = 0.12 + 0.5 * _log_distance(rate, 4e-5) ** 2 + 2 * (warmup - 0.02) ** 2
    cycles = point.get("lr_scheduler_num_cycles", 2)
    return float(min(first, second) + 0.05 * abs(cycles - 3) + 0.1 * (point["lr_scheduler"] == "constant"))


def _source(point: Point) -> float | None:
    """The source experiment's space: its report's lessons as a function (alpha ratio, rate, steps, safeguards)."""
    strength = point["learning_rate"] / 9e-5 * point["network_alpha_ratio"] / 0.5
    guard = 0.2 * (point["gradient_accumulation_steps"] >= 2) + 0.15 * (point["lr_warmup_steps"] >= 100)
    if strength > 1.7 + guard - 0.35 * (point["optimizer_type"] == "AdamW8bit"):
        return None
    loss = 0.8 * (strength - 1.25) ** 2 + 0.3 * _log_distance(point["text_encoder_lr"], 5e-5) ** 2
    loss += 0.08 * (20 - point["max_train_epochs"]) / 8 + 0.06 * abs(math.log2(point["network_dim"] / 128))
    loss += {"AdamW": 0.0, "AdamW8bit": 0.05, "Prodigy": 0.02}[point["optimizer_type"]]
    return float(loss + {"cosine": 0.02, "cosine_with_restarts": 0.0, "polynomial": 0.05}[point["lr_scheduler"]])


_RATE = {"float": [1e-6, 1e-2], "log": True}

LANDSCAPES = (
    Landscape(
        "ridge",
        {
            "learning_rate": _RATE,
            "network_dim": {"choices": [4, 8, 16, 32, 64, 128]},
            "network_alpha": {"float": [1.0, 128.0], "log": True},
            "train_batch_size": {"int": [1, 8]},
            "max_train_epochs": {"int": [4, 40]},
            "network_dropout": {"float": [0.0, 0.5]},
        },
        (
            {"refuse": "learning_rate * network_alpha / network_dim > 0.0002"},
            {"refuse": "learning_rate * network_alpha / network_dim < 0.000005"},
            {"refuse": "train_batch_size * max_train_epochs < 16"},
        ),
        _ridge,
    ),
    Landscape(
        "memory",
        {
            "learning_rate": _RATE,
            "network_dim": {"choices": [8, 16, 32, 64, 128]},
            "train_batch_size": {"int": [1, 8]},
            "resolution": {"choices": [512, 640, 768, 1024]},
            "optimizer_type": {"choices": ["AdamW", "AdamW8bit", "Lion"]},
        },
        (
            {"refuse": "network_dim / 16 + train_batch_size * (resolution / 512) * (resolution / 512) * 2 > 14"},
            {"refuse": 'optimizer_type == "Lion" and learning_rate > 0.0002'},
            {"refuse": "learning_rate > 0.0012"},
        ),
        _memory,
    ),
    Landscape(
        "schedule",
        {
            "learning_rate": _RATE,
            "lr_warmup_ratio": {"float": [0.0, 0.3]},
            "noise_offset": {"float": [0.0, 0.2]},
            "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts", "constant"]},
            "lr_scheduler_num_cycles": {"int": [1, 6], "when": 'lr_scheduler == "cosine_with_restarts"'},
        },
        (
            {"refuse": "learning_rate > 0.0001 + lr_warmup_ratio * 0.003"},
            {"refuse": "noise_offset > 0.1 and learning_rate > 0.0002"},
            {"refuse": "learning_rate < 0.000005"},
        ),
        _schedule,
    ),
    Landscape(
        "source",
        {
            "learning_rate": {"float": [6.0e-5, 1.2e-4], "log": True},
            "text_encoder_lr": {"float": [3.0e-5, 8.0e-5], "log": True},
            "network_dim": {"choices": [64, 128, 256]},
            "network_alpha_ratio": {"float": [0.25, 0.9], "step": 0.05},
            "max_train_epochs": {"choices": [12, 16, 20]},
            "optimizer_type": {"choices": ["AdamW", "AdamW8bit", "Prodigy"]},
            "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts", "polynomial"]},
            "lr_warmup_steps": {"choices": [50, 100, 150, 200]},
            "gradient_accumulation_steps": {"choices": [1, 2, 4]},
        },
        (),
        _source,
    ),
)
