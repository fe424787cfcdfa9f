"""A base model as it lies on disk or on the hub; finds what would keep it from being loaded. Torch-free.

Only loading shows everything: here are seen missing folders and files, headers that cannot be read, files that were cut
off, and models of a family that no trainer here knows.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from trainers.files import plain_files, weight_files
from trainers.lora import architecture
from trainers.preflight import hub

#: library -> how its models' weights may be called
_WEIGHTS = {
    "diffusers": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    "transformers": ("model.safetensors", "pytorch_model.bin"),
}
#: what a class is known to need beside its library's own; `|` parts what may stand for each other
_FILES: Mapping[str, tuple[str, ...]] = {
    "CLIPTokenizer": ("tokenizer.json|vocab.json", "tokenizer.json|merges.txt"),
    "CLIPFeatureExtractor": ("preprocessor_config.json",),
    "CLIPImageProcessor": ("preprocessor_config.json",),
}
#: what the trainer leaves out while it loads
_LEFT_OUT = ("safety_checker",)
_PARTS = {
    "sd15": ("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    "sdxl": ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"),
}
#: where a single checkpoint file of each family takes its configuration from
_CONFIGURATION = {
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
}
_UNET = "model.diffusion_model."
_MOST_JSON = 2**20


def problems(source: str) -> list[str]:
    """Everything that is seen to be wrong with a base as a study names it; empty where it can be tried."""
    path = architecture.DEMO / "base" if source == "demo" else pathlib.Path(source).expanduser()
    try:
        if path.is_dir():
            return [f"base {source!r}: {problem}" for problem in _of_folder(path)]
        if path.exists():
            return [f"base {source!r}: {problem}" for problem in _of_file(path)]
    except (OSError, ValueError) as error:
        return [f"base {source!r}: cannot be read: {error}"]
    if path.is_absolute() or source.startswith(".") or source.count("/") != 1:
        return [f"base {source!r}: no such folder or file, and not a hub id (owner/name)"]
    return [f"base {problem}" for problem in _of_hub(source)]


def _of_hub(source: str) -> Iterator[str]:
    here = hub.cached(source, "model_index.json")
    missing = list(_of_folder(here.parent)) if here is not None else []
    if here is not None and not missing:
        return
    problem = hub.problem(source, "model_index.json")
    if problem is not None:
        yield from (f"{source!r} is cached only in part: {each}" for each in missing)
        yield problem


def _of_folder(path: pathlib.Path) -> Iterator[str]:
    """A folder in diffusers' layout."""
    index = path / "model_index.json"
    if not index.is_file():
        yield f"{path} holds no model_index.json; name a folder in diffusers' layout, or one .safetensors file"
        return
    try:
        content = _json(index)
    except ValueError as error:
        yield f"{index}: {error}"
        return
    family = architecture.FAMILIES.get(str(content.get("_class_name")))
    if family is None:
        yield f"{index} is a {content.get('_class_name')}; known are {', '.join(architecture.FAMILIES)}"
        return
    for part in _PARTS[family]:
        if not isinstance(content.get(part), list):
            yield f"{index} names no {part}"
    for part, named in content.items():
        if isinstance(named, list) and len(named) == 2 and all(named) and part not in _LEFT_OUT:
            yield from _of_part(path / part, str(named[0]), str(named[1]))


def _of_part(folder: pathlib.Path, library: str, kind: str) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{folder}: no such folder, and model_index.json names it"
        return
    if kind.endswith("Scheduler"):
        yield from _configuration(folder / "scheduler_config.json")
    elif kind in _FILES or "Tokenizer" in kind:
        for wanted in _FILES.get(kind, ("tokenizer.json|vocab.json",)):
            if not any((folder / name).is_file() for name in wanted.split("|")):
                yield f"{folder}: holds no {wanted.replace('|', ' or ')}"
    elif library in _WEIGHTS:
        yield from _configuration(folder / "config.json")
        yield from _of_weights(folder, _WEIGHTS[library])


def _of_weights(folder: pathlib.Path, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        for whole in (folder / name, folder / f"{name}.index.json"):
            if whole.is_file():
                yield from _of_shards(whole) if whole.suffix == ".json" else _of_weight_file(whole)
                return
    other = sorted(path.name for path in folder.glob("*.safetensors"))
    hint = f"; {', '.join(other)} is not looked for: rename it" if other else ""
    yield f"{folder}: holds no {' or '.join(names)}{hint}"


def _of_shards(index: pathlib.Path) -> Iterator[str]:
    try:
        files = sorted(set(_json(index)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{index}: cannot be read: {error}"
        return
    for name in files:
        yield from _of_weight_file(index.parent / name)


def _of_weight_file(path: pathlib.Path) -> Iterator[str]:
    problem = weight_files.problem(path)
    if problem:
        yield f"{path}: {problem}; fetch it again"


def _configuration(path: pathlib.Path) -> Iterator[str]:
    try:
        _json(path)
    except ValueError as error:
        yield f"{path}: {error}"


def _of_file(path: pathlib.Path) -> Iterator[str]:
    """A single checkpoint file in the layout of the models' first trainers."""
    if path.suffix != ".safetensors":
        yield f"{path} is no .safetensors file; convert it, or name a folder in diffusers' layout"
        return
    try:
        header = weight_files.header(path)
    except (OSError, ValueError) as error:
        yield f"{path}: {plain_files.reason(error) if isinstance(error, OSError) else error}"
        return
    if not any(name.startswith(_UNET) for name in header):
        what = "is a LoRA" if any("lora" in name.lower() for name in header) else "holds no UNet"
        yield f"{path} {what} ({next(iter(header), 'no tensor')}, ...); name a whole SD 1.5 or SDXL checkpoint"
        return
    configuration = path.with_suffix("")
    if configuration.is_dir():
        return
    family = "sdxl" if any(name.startswith("conditioner.embedders.1.") for name in header) else "sd15"
    repository = _CONFIGURATION[family]
    if hub.cached(repository, "model_index.json") is None:
        problem = hub.problem(repository, "model_index.json")
        if problem:
            yield (
                f"{path} holds no tokenizer and no configuration; put a folder {configuration} beside it that holds "
                f"the same family's model in diffusers' layout (its weights may be left out), since {problem}"
            )


def _json(path: pathlib.Path) -> Mapping[str, Any]:
    """A JSON object; raises ValueError with why it is none."""
    try:
        content = json.loads(plain_files.read_text(path, _MOST_JSON * 64))
    except FileNotFoundError:
        raise ValueError("is missing") from None
    except OSError as error:
        raise ValueError(plain_files.reason(error)) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("is no JSON object")
    return content
