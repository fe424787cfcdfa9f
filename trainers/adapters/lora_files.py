"""LoRA files in kohya's key layout, which diffusers, ComfyUI and A1111-style loaders read, or in diffusers' own.

kohya's: a layer `a.b.c` becomes `<prefix>_a_b_c.lora_down.weight`, `.lora_up.weight` and `.alpha`. The alpha written
is the true one (diffusers' own converter writes the rank), and text-encoder names carry `text_model` even where
transformers no longer has that level, since other loaders match it.

diffusers': the names of its files of 2023 (`unet.a.attn1.processor.to_q_lora.down.weight`, or `unet.a.lora.down.weight`
outside of attentions; `text_encoder.text_model.a.lora_A.weight`), which its loaders of then and of today read, and
ComfyUI's. In this layout
older ones know no alpha and take it to be the rank, so the strength alpha / rank is multiplied into the weights, its
root into either matrix: small numbers of half precision stay as far from 0 as they can.

Metadata values are text: the format knows nothing else.
"""

import hashlib
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch

from trainers.adapters import adapters
from trainers.bases import models
from trainers.files import atomic
from trainers.lora import architecture

_DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_TEXT_PREFIXES: Mapping[architecture.Family, tuple[str, ...]] = {"sd15": ("lora_te",), "sdxl": ("lora_te1", "lora_te2")}
UNET_PREFIX = "lora_unet"
#: projections of an attention that diffusers' files name in a way of their own
_ATTENTION = ("to_q", "to_k", "to_v", "to_out")


def kohya(base: models.Base, precision: str) -> dict[str, torch.Tensor]:
    """The base's LoRA as kohya-named tensors on the CPU, contiguous; alphas are float32 scalars."""
    named: dict[str, torch.Tensor] = {}
    for prefix, model in zip((UNET_PREFIX, *_TEXT_PREFIXES[base.family]), _adapted(base).values(), strict=True):
        for name, layer in adapters.layers(model):
            key = module_key(prefix, name)
            named[f"{key}.lora_down.weight"] = _saved(layer.lora_A[adapters.NAME].weight, precision)
            named[f"{key}.lora_up.weight"] = _saved(layer.lora_B[adapters.NAME].weight, precision)
            named[f"{key}.alpha"] = torch.tensor(float(layer.scaling[adapters.NAME] * layer.r[adapters.NAME]))
    return named


def diffusers(base: models.Base, precision: str) -> dict[str, torch.Tensor]:
    """The base's LoRA as diffusers names it, with an alpha that equals the rank, on the CPU, contiguous."""
    named: dict[str, torch.Tensor] = {}
    for prefix, model in _adapted(base).items():
        for name, layer in adapters.layers(model):
            down, up = diffusers_keys(prefix, name)
            root = math.sqrt(layer.scaling[adapters.NAME])
            named[down] = _saved(layer.lora_A[adapters.NAME].weight * root, precision)
            named[up] = _saved(layer.lora_B[adapters.NAME].weight * root, precision)
    return named


def diffusers_keys(prefix: str, name: str) -> tuple[str, str]:
    """diffusers' names of the two matrices of a layer: those of the model `prefix`, down and up."""
    if prefix != "unet":
        stem = f"{prefix}.{_with_text_model(name)}"
        return f"{stem}.lora_A.weight", f"{stem}.lora_B.weight"
    parent, _, last = name.removesuffix(".0").rpartition(".")
    stem = f"unet.{parent}.processor.{last}_lora" if last in _ATTENTION else f"unet.{name}.lora"
    return f"{stem}.down.weight", f"{stem}.up.weight"


def module_key(prefix: str, name: str) -> str:
    """kohya's name of a layer: `lora_te`, `layers.0.mlp.fc1` -> `lora_te_text_model_layers_0_mlp_fc1`."""
    if prefix != UNET_PREFIX:
        name = _with_text_model(name)
    return f"{prefix}_{name.replace('.', '_')}"


def _with_text_model(name: str) -> str:
    """A text encoder's layer as other loaders look for it, even where transformers no longer has that level."""
    return name if name.startswith("text_model.") else f"text_model.{name}"


def save(path: pathlib.Path, named: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """Write a LoRA file atomically, with its `sshs_*` hashes; returns the sha256 of the file.

    Raises:
        OSError: the disk is full or failed.
    """
    hashes = _sshs_hashes(named, {key: value for key, value in metadata.items() if key.startswith("ss_")})
    data = safetensors.torch.save(dict(named), {**metadata, **hashes})
    atomic.write(path, data)
    return hashlib.sha256(data).hexdigest()


def _adapted(base: models.Base) -> dict[str, Any]:
    """The models that may carry a LoRA, by diffusers' names."""
    names = ("unet", "text_encoder", "text_encoder_2")
    return dict(zip(names, (base.unet, *base.text_encoders), strict=False))


def _saved(weight: torch.Tensor, precision: str) -> torch.Tensor:
    return weight.detach().to("cpu", _DTYPES[precision]).contiguous()


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
