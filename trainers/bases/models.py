"""The frozen base model of a job: found, loaded and named by the hash of its files."""

import dataclasses
import json
import pathlib
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.loaders.single_file import SingleFileComponentError

from trainers.contract import errors
from trainers.files import digests
from trainers.lora import architecture

#: the libraries' progress bars and remarks on configurations say nothing that events and errors do not say
for library in (diffusers.utils.logging, transformers.utils.logging):
    library.set_verbosity_error()
    library.disable_progress_bar()

_SINGLE_FILE_REMEDY = (
    "a single file holds no tokenizer and no configuration: they come from the hub, or, without a network, from a "
    "folder {folder} that holds the same family's model in diffusers' layout (its weights may be left out)"
)

_PIPELINES = {"sd15": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
_PRECISIONS = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclasses.dataclass(frozen=True)
class Base:
    """A loaded text-to-image model. The hashes name its content; `source` is what the job called it."""

    source: str
    path: pathlib.Path
    family: architecture.Family
    sha256: str
    vae_sha256: str
    pipeline: Any

    @property
    def unet(self) -> Any:
        return self.pipeline.unet

    @property
    def vae(self) -> Any:
        return self.pipeline.vae

    @property
    def text_encoders(self) -> tuple[Any, ...]:
        """One CLIP text encoder for SD 1.5, two for SDXL."""
        if self.family == "sd15":
            return (self.pipeline.text_encoder,)
        return (self.pipeline.text_encoder, self.pipeline.text_encoder_2)

    @property
    def tokenizers(self) -> tuple[Any, ...]:
        if self.family == "sd15":
            return (self.pipeline.tokenizer,)
        return (self.pipeline.tokenizer, self.pipeline.tokenizer_2)

    @property
    def resolution(self) -> int:
        """Side in pixels of the square that the model was made for."""
        return int(self.unet.config.sample_size * self.pipeline.vae_scale_factor)


def load(source: str, precision: str, device: torch.device, cache: pathlib.Path) -> Base:
    """Load a base model, frozen, on `device`.

    UNet and text encoders take `precision`; the VAE stays in float32, since SDXL's overflows in half precision.

    Args:
        source: a folder in diffusers' layout, one `.safetensors` file, a hub id, or `demo`.

    Raises:
        errors.ModelError: it is not there, not complete, or of a family this trainer does not know.
    """
    path = _locate(source)
    try:
        dtype = _PRECISIONS[precision]
        family, pipeline = _single_file(path, dtype) if path.is_file() else _folder(path, source, dtype)
    except (OSError, ValueError, KeyError, ImportError, SingleFileComponentError) as error:
        reason = errors.reason(error)
        remedy = f"; {_SINGLE_FILE_REMEDY.format(folder=path.with_suffix(''))}" if path.is_file() else ""
        raise errors.ModelError(f"base {source!r}: cannot be loaded from {path}: {reason}{remedy}") from error
    pipeline.set_progress_bar_config(disable=True)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
            part.to(device=device, dtype=torch.float32 if name == "vae" else dtype)
    vae = path / "vae" if path.is_dir() else path
    return Base(source, path, family, digests.of_model(path, cache), digests.of_model(vae, cache), pipeline)


def _locate(source: str) -> pathlib.Path:
    path = architecture.DEMO / "base" if source == "demo" else pathlib.Path(source).expanduser()
    if path.exists():
        return path
    if path.is_absolute() or source.startswith(".") or source.count("/") != 1:
        raise errors.ModelError(f"base {source!r}: no such folder or file, and not a hub id (owner/name)")
    try:
        return pathlib.Path(DiffusionPipeline.download(source))
    except Exception as error:  # the hub client raises many kinds: offline, no such repository, no access
        reason = errors.reason(error)
        raise errors.ModelError(
            f"base {source!r}: no such folder here, and the hub does not give it: {reason}; without a network name a "
            f"local folder or file, or fetch it beforehand where there is one: hf download {source}"
        ) from error


def _folder(path: pathlib.Path, source: str, dtype: torch.dtype) -> tuple[architecture.Family, Any]:
    index = path / "model_index.json"
    if not index.is_file():
        raise errors.ModelError(f"base {source!r}: {path} holds no model_index.json (diffusers' folder layout)")
    name = json.loads(index.read_text(encoding="utf-8")).get("_class_name")
    if name not in architecture.FAMILIES:
        raise errors.ModelError(f"base {source!r}: {index} is a {name}; known are {', '.join(architecture.FAMILIES)}")
    family = architecture.FAMILIES[name]
    # each part in its own precision from the start: SDXL in float32 would take twice the memory
    wanted = {"dtype": {"vae": torch.float32, "default": dtype}, **_without_safety_checker(family)}
    return family, _PIPELINES[family].from_pretrained(path, local_files_only=True, **wanted)


def _single_file(path: pathlib.Path, dtype: torch.dtype) -> tuple[architecture.Family, Any]:
    # A checkpoint file holds no tokenizer and no configuration: a folder of the same name beside it may.
    configuration = path.with_suffix("")
    known = {"config": str(configuration), "local_files_only": True} if configuration.is_dir() else {}
    family: architecture.Family = "sdxl" if _is_sdxl(path) else "sd15"
    # one precision for all parts is all it knows, and a VAE that was rounded cannot be widened again
    vae = AutoencoderKL.from_single_file(str(path), **known, **({"subfolder": "vae"} if known else {}))
    wanted = {"dtype": dtype, "vae": vae, **known, **_without_safety_checker(family)}
    return family, _PIPELINES[family].from_single_file(str(path), **wanted)


def _is_sdxl(path: pathlib.Path) -> bool:
    from safetensors import safe_open  # noqa: PLC0415  (only for single files)

    with safe_open(path, framework="pt") as file:
        return any(name.startswith("conditioner.embedders.1.") for name in file.keys())  # noqa: SIM118


def _without_safety_checker(family: architecture.Family) -> dict[str, Any]:
    """SD 1.5's safety checker returns black images, which would count as the LoRA's failures."""
    return {"safety_checker": None, "requires_safety_checker": False} if family == "sd15" else {}
