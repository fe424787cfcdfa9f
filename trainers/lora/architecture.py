"""What a base model is made of, read from its configuration and file headers: sizes to estimate with. Torch-free.

A UNet of diffusers' `UNet2DConditionModel` is a list of residual and transformer blocks, each on a grid of latent
positions; memory and work of a pass are sums over that list.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

from trainers.files import weight_files

Family = Literal["sd15", "sdxl"]
Json = Mapping[str, Any]

#: where the models lie that come with the project: Tuneguard runs from its checkout
DEMO = pathlib.Path(__file__).resolve().parents[2] / "examples" / "demo"

#: pipeline class in model_index.json -> family
FAMILIES: Mapping[str, Family] = {"StableDiffusionPipeline": "sd15", "StableDiffusionXLPipeline": "sdxl"}


@dataclasses.dataclass(frozen=True)
class Residual:
    """A residual block: two 3x3 convolutions. `shrink`: latent positions of the input for each of the block's own."""

    channels_in: int
    channels_out: int
    shrink: int


@dataclasses.dataclass(frozen=True)
class Transformer:
    """`depth` transformer blocks between two projections, all of one width."""

    channels: int
    depth: int
    shrink: int


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """A CLIP text encoder; `parameters` counts its numbers."""

    hidden: int
    intermediate: int
    layers: int
    tokens: int
    parameters: int


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A base model's sizes.

    Attributes:
        resolution: side in pixels of the square that the model was made for.
        pixels_per_latent: side of the square of pixels that one latent position stands for.
        context: channels of the conditioning.
        vae_channels: channels that the VAE holds at full resolution: while it encodes, and while it decodes.
    """

    family: Family
    resolution: int
    pixels_per_latent: int
    context: int
    residuals: tuple[Residual, ...]
    transformers: tuple[Transformer, ...]
    text_encoders: tuple[TextEncoder, ...]
    unet_parameters: int
    vae_parameters: int
    vae_channels: tuple[int, int]


def read(source: str) -> Architecture | None:
    """The architecture of a base as a study names it: a folder, a `.safetensors` file, a hub id or `demo`.

    Returns:
        None when it cannot be known here: not there (a hub id that has not been downloaded), or no known family.
    """
    path = locate(source)
    try:
        if path is None:
            return None
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def locate(source: str) -> pathlib.Path | None:
    """Where a base lies, as a study names it; None where it is not here (a hub id may not have been downloaded)."""
    path = DEMO / "base" if source == "demo" else pathlib.Path(source).expanduser()
    if path.exists():
        return path
    if path.is_absolute() or source.startswith(".") or source.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  (only for hub ids, and slow to import)

    found = try_to_load_from_cache(source, "model_index.json")
    return pathlib.Path(found).parent if isinstance(found, str) else None


def _of_folder(path: pathlib.Path) -> Architecture | None:
    """A folder in diffusers' layout."""
    family = FAMILIES.get(_json(path / "model_index.json").get("_class_name", ""))
    if family is None:
        return None
    encoders = [path / name for name in ("text_encoder", "text_encoder_2") if (path / name / "config.json").is_file()]
    standard = _STANDARD[family]
    return build(
        family,
        _json(path / "unet" / "config.json"),
        _json(path / "vae" / "config.json"),
        tuple(
            _text_encoder(_json(folder / "config.json"), _count(folder) or known.parameters)
            for folder, known in zip(encoders, standard.text_encoders, strict=False)
        ),
        _count(path / "unet") or standard.unet_parameters,
        _count(path / "vae") or standard.vae_parameters,
    )


def _of_file(path: pathlib.Path) -> Architecture:
    """A single checkpoint file: its family decides, since it holds no configuration."""
    is_sdxl = any(name.startswith("conditioner.embedders.1.") for name in weight_files.header(path))
    return _STANDARD["sdxl" if is_sdxl else "sd15"]


def standard(family: Family) -> Architecture:
    """The published model's own sizes."""
    return _STANDARD[family]


def build(
    family: Family,
    unet: Json,
    vae: Json,
    text_encoders: tuple[TextEncoder, ...],
    unet_parameters: int,
    vae_parameters: int,
) -> Architecture:
    """An architecture from diffusers' configurations and parameter counts."""
    residuals, transformers = _blocks(unet)
    widths = list(vae.get("decoder_block_out_channels") or vae["block_out_channels"])
    scale = 2 ** (len(vae["block_out_channels"]) - 1)
    return Architecture(
        family=family,
        resolution=int(unet["sample_size"]) * scale,
        pixels_per_latent=scale,
        context=int(unet["cross_attention_dim"]),
        residuals=residuals,
        transformers=transformers,
        text_encoders=text_encoders,
        unet_parameters=unet_parameters,
        vae_parameters=vae_parameters,
        # the last residual block of a decoder takes what the one before it made
        vae_channels=(int(vae["block_out_channels"][0]), int(max(widths[:2]))),
    )


def _blocks(unet: Json) -> tuple[tuple[Residual, ...], tuple[Transformer, ...]]:
    """The blocks in the order of a pass, as `UNet2DConditionModel` builds them."""
    widths = [int(width) for width in unet["block_out_channels"]]
    layers = int(unet.get("layers_per_block", 2))
    depths = unet.get("transformer_layers_per_block", 1)
    depths = list(depths) if isinstance(depths, list) else [int(depths)] * len(widths)
    residuals: list[Residual] = []
    transformers: list[Transformer] = []
    shrink, channels, skips = 1, widths[0], [widths[0]]
    for at, (kind, width) in enumerate(zip(unet["down_block_types"], widths, strict=True)):
        for _ in range(layers):
            residuals.append(Residual(channels, width, shrink))
            if "CrossAttn" in kind:
                transformers.append(Transformer(width, int(depths[at]), shrink))
            channels = width
            skips.append(width)
        if at < len(widths) - 1:
            shrink *= 4
            skips.append(width)
    if unet.get("mid_block_type", "UNetMidBlock2DCrossAttn") is not None:
        residuals += [Residual(channels, channels, shrink)] * 2
        transformers.append(Transformer(channels, int(depths[-1]), shrink))
    for at, kind in enumerate(unet["up_block_types"]):
        width, depth = widths[-1 - at], int(depths[-1 - at])
        for _ in range(layers + 1):
            residuals.append(Residual(channels + skips.pop(), width, shrink))
            if "CrossAttn" in kind:
                transformers.append(Transformer(width, depth, shrink))
            channels = width
        if at < len(widths) - 1:
            shrink //= 4
    return tuple(residuals), tuple(transformers)


def _text_encoder(config: Json, parameters: int) -> TextEncoder:
    return TextEncoder(
        hidden=int(config["hidden_size"]),
        intermediate=int(config["intermediate_size"]),
        layers=int(config["num_hidden_layers"]),
        tokens=int(config.get("max_position_embeddings", 77)),
        parameters=parameters,
    )


def _json(path: pathlib.Path) -> Json:
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def _count(folder: pathlib.Path) -> int:
    """Numbers in a model's safetensors files, 0 where it has none; those of a lower precision are not counted again."""
    files = [file for file in folder.glob("*.safetensors") if ".fp16." not in file.name and ".bf16." not in file.name]
    files = files or sorted(folder.glob("*.safetensors"))
    return sum(
        _numbers(entry["shape"]) for file in files for entry in weight_files.header(file).values() if "shape" in entry
    )


def _numbers(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def weights(path: pathlib.Path) -> list[str]:
    """Names of the weights in a safetensors file.

    Raises:
        OSError, ValueError: the file is not there, or is none.
    """
    return [name for name in weight_files.header(path) if name != "__metadata__"]


_KL = {"block_out_channels": [128, 256, 512, 512]}
_CLIP_L = TextEncoder(hidden=768, intermediate=3072, layers=12, tokens=77, parameters=123_060_480)

#: the published models' own sizes (configurations of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0)
_STANDARD: Mapping[Family, Architecture] = {
    "sd15": build(
        "sd15",
        {
            "sample_size": 64,
            "cross_attention_dim": 768,
            "block_out_channels": [320, 640, 1280, 1280],
            "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        },
        _KL,
        (_CLIP_L,),
        unet_parameters=859_520_964,
        vae_parameters=83_653_863,
    ),
    "sdxl": build(
        "sdxl",
        {
            "sample_size": 128,
            "cross_attention_dim": 2048,
            "block_out_channels": [320, 640, 1280],
            "transformer_layers_per_block": [1, 2, 10],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        },
        _KL,
        (
            _CLIP_L,
            TextEncoder(hidden=1280, intermediate=5120, layers=32, tokens=77, parameters=694_659_840),
        ),
        unet_parameters=2_567_463_684,
        vae_parameters=83_653_863,
    ),
}
