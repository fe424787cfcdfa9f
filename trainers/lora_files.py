"""LoRA files in kohya's key layout, which diffusers, ComfyUI and A1111-style loaders read.

A layer `a.b.c` becomes `<prefix>_a_b_c.lora_down.weight`, `.lora_up.weight` and `.alpha`. The alpha written is the
true one (diffusers' own converter writes the rank), and text-encoder names carry `text_model` even where transformers
no longer has that level, since other loaders match it. Metadata values are text: the format knows nothing else.
"""

import hashlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import safetensors.torch
import torch

from trainers import adapters, atomic, models

_DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_TEXT_PREFIXES: Mapping[models.Family, tuple[str, ...]] = {"sd15": ("lora_te",), "sdxl": ("lora_te1", "lora_te2")}
UNET_PREFIX = "lora_unet"


def tensors(base: models.Base, precision: str) -> dict[str, torch.Tensor]:
    """The base's LoRA as kohya-named tensors on the CPU, contiguous; alphas are scalars of the same type."""
    named: dict[str, torch.Tensor] = {}
    for prefix, model in _prefixed(base):
        for name, layer in adapters.layers(model):
            key = module_key(prefix, name)
            alpha = layer.scaling[adapters.NAME] * layer.r[adapters.NAME]
            named[f"{key}.lora_down.weight"] = layer.lora_A[adapters.NAME].weight
            named[f"{key}.lora_up.weight"] = layer.lora_B[adapters.NAME].weight
            named[f"{key}.alpha"] = torch.tensor(alpha)
    return {key: tensor.detach().to("cpu", _DTYPES[precision]).contiguous() for key, tensor in named.items()}


def module_key(prefix: str, name: str) -> str:
    """kohya's name of a layer: `lora_te`, `layers.0.mlp.fc1` -> `lora_te_text_model_layers_0_mlp_fc1`."""
    if prefix != UNET_PREFIX and not name.startswith("text_model."):
        name = f"text_model.{name}"
    return f"{prefix}_{name.replace('.', '_')}"


def save(path: pathlib.Path, named: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """Write a LoRA file atomically, with its `sshs_*` hashes; returns the sha256 of the file.

    Raises:
        OSError: the disk is full or failed.
    """
    hashes = _sshs_hashes(named, {key: value for key, value in metadata.items() if key.startswith("ss_")})
    data = safetensors.torch.save(dict(named), {**metadata, **hashes})
    atomic.write(path, data)
    return hashlib.sha256(data).hexdigest()


def _prefixed(base: models.Base) -> Iterator[tuple[str, Any]]:
    yield UNET_PREFIX, base.unet
    yield from zip(_TEXT_PREFIXES[base.family], base.text_encoders, strict=True)


def _sshs_hashes(named: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The hashes that sd-scripts writes: of the file with its `ss_*` metadata only.

    The new hash is over everything after the header; the old one, which A1111 shows, over 64 KiB from 1 MiB on.
    """
    data = safetensors.torch.save(dict(named), dict(metadata))
    header_bytes = int.from_bytes(data[:8], "little")
    return {
        "sshs_model_hash": hashlib.sha256(data[8 + header_bytes :]).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
    }
