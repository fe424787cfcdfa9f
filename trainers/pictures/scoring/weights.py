"""Which weights a scorer was given: found, and named by their content, since scores of other weights do not compare."""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import torch

from trainers.files import cache as caches
from trainers.files import digests
from trainers.lora import architecture


def source(model: str, given: str) -> pathlib.Path | None:
    """The folder or file that a scorer's weights come from; None where they are fetched by name.

    Args:
        model: the scorer's model name, a folder that holds a whole model, or `demo`.
        given: a weights file, or a name of weights.
    """
    folder = architecture.DEMO / "clip" if model == "demo" else pathlib.Path(model).expanduser()
    if folder.is_dir():
        return folder
    file = pathlib.Path(given).expanduser()
    return file if file.is_file() else None


def identity(
    name: str,
    found: pathlib.Path | None,
    model: torch.nn.Module,
    preprocessing: Mapping[str, Any],
    cache: pathlib.Path,
) -> str:
    """A hash of what a scorer's scores follow from; `found` is its `source`, where it has one."""
    weights = _of_tensors(model) if found is None else digests.of_model(found, cache)
    return caches.key(name=name, weights=weights, preprocessing=str(sorted(preprocessing.items())))


def _of_tensors(model: torch.nn.Module) -> str:
    """sha256 over the names and values of all tensors: what is fetched by a name may be another thing tomorrow."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
