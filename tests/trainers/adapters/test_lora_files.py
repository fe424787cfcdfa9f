"""LoRA files against the loaders that people use: diffusers' own, and kohya's key names at full size."""

import hashlib
import json
import pathlib
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from diffusers.utils import convert_unet_state_dict_to_peft

from trainers.adapters import adapters, lora_files
from trainers.bases import models
from trainers.lora import architecture

SD15_BLOCKS = {
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "sample_size": 64,
}
SDXL_BLOCKS = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "use_linear_projection": True,
}


@pytest.fixture
def tiny_sdxl(sdxl_folder: pathlib.Path, tmp_path: pathlib.Path) -> models.Base:
    return models.load(str(sdxl_folder), "no", torch.device("cpu"), tmp_path)


@pytest.fixture
def demo(tmp_path: pathlib.Path) -> models.Base:
    return models.load("demo", "no", torch.device("cpu"), tmp_path)


@pytest.fixture(params=["demo", "tiny_sdxl"])
def adapted(request: pytest.FixtureRequest) -> models.Base:
    """A base with a LoRA that does something everywhere, alpha different from dim."""
    base: models.Base = request.getfixturevalue(request.param)
    adapters.attach(base.unet, adapters.UNET_TARGETS, dim=4, alpha=1.5, dropout=0.0, seed=1)
    for encoder in base.text_encoders:
        adapters.attach(encoder, adapters.TEXT_ENCODER_TARGETS, dim=4, alpha=1.5, dropout=0.0, seed=2)
    generator = torch.Generator().manual_seed(3)
    for model in (base.unet, *base.text_encoders):
        for _, layer in adapters.layers(model):
            up = layer.lora_B[adapters.NAME].weight
            up.data = torch.randn(up.shape, generator=generator) * 0.05
    return base


def draw(pipeline: Any) -> torch.Tensor:
    with torch.no_grad():
        latents: torch.Tensor = pipeline(
            "a red circle",
            generator=torch.Generator().manual_seed(0),
            num_inference_steps=3,
            guidance_scale=1.0,  # guidance multiplies differences, rounding included
            output_type="latent",
        ).images
    return latents


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_a_saved_lora_gives_the_trained_pictures_in_a_fresh_pipeline(
    layout: str, adapted: models.Base, sdxl_folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    trained = draw(adapted.pipeline)
    path = tmp_path / "lora.safetensors"
    if layout == "kohya":
        lora_files.save(path, lora_files.kohya(adapted, "float"), {"ss_network_dim": "4"})
    else:
        lora_files.save(path, lora_files.diffusers(adapted, "float"), {"format": "pt"})
    kind = StableDiffusionPipeline if adapted.family == "sd15" else StableDiffusionXLPipeline
    folder = architecture.DEMO / "base" if adapted.family == "sd15" else sdxl_folder
    fresh = kind.from_pretrained(folder, dtype=torch.float32)
    fresh.set_progress_bar_config(disable=True)
    untrained = draw(fresh)
    fresh.load_lora_weights(path)
    reloaded = draw(fresh)
    assert (reloaded - trained).abs().max() < 1e-5
    assert (untrained - trained).abs().max() > 1e-2


def test_diffusers_layout_needs_no_alpha_and_names_text_encoders_as_older_loaders_look_for_them(
    adapted: models.Base,
) -> None:
    """A loader that takes alpha to be the rank, as diffusers did, makes the trained update of it."""
    file = lora_files.diffusers(adapted, "float")
    assert not [key for key in file if "alpha" in key]
    text = [key for key in file if key.startswith("text_encoder")]
    assert text
    assert all(".text_model.encoder.layers." in key for key in text)
    name, layer = next(iter(adapters.layers(adapted.unet)))
    down, up = lora_files.diffusers_keys("unet", name)
    matrices = layer.lora_B[adapters.NAME].weight.flatten(1), layer.lora_A[adapters.NAME].weight.flatten(1)
    trained = matrices[0] @ matrices[1] * layer.scaling[adapters.NAME]
    assert torch.allclose(file[up].flatten(1) @ file[down].flatten(1), trained, atol=1e-6)


def test_the_file_says_the_true_alpha(adapted: models.Base) -> None:
    alphas = [tensor for key, tensor in lora_files.kohya(adapted, "float").items() if key.endswith(".alpha")]
    assert alphas
    assert all(alpha.item() == 1.5 for alpha in alphas)


def test_text_encoder_keys_carry_text_model_for_other_loaders(adapted: models.Base) -> None:
    keys = [key for key in lora_files.kohya(adapted, "float") if key.startswith("lora_te")]
    first = "lora_te_" if adapted.family == "sd15" else "lora_te1_"
    assert f"{first}text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight" in keys
    assert all("_text_model_encoder_layers_" in key for key in keys)
    if adapted.family == "sdxl":
        assert "lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha" in keys


@pytest.mark.slow
@pytest.mark.parametrize(("config", "modules"), [(SD15_BLOCKS, 192), (SDXL_BLOCKS, 722)], ids=["sd15", "sdxl"])
def test_every_module_of_a_full_size_unet_has_a_name_that_diffusers_maps_back(
    config: dict[str, Any], modules: int
) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    adapters.attach(unet, adapters.UNET_TARGETS, dim=2, alpha=1.0, dropout=0.0, seed=0)
    layers = dict(adapters.layers(unet))
    assert len(layers) == modules
    file: dict[str, torch.Tensor] = {}
    for name, layer in layers.items():
        key = lora_files.module_key(lora_files.UNET_PREFIX, name)
        file[f"{key}.lora_down.weight"] = layer.lora_A[adapters.NAME].weight
        file[f"{key}.lora_up.weight"] = layer.lora_B[adapters.NAME].weight
        file[f"{key}.alpha"] = torch.tensor(1.0)
    converted, _ = _convert_non_diffusers_lora_to_diffusers(dict(file))
    found = convert_unet_state_dict_to_peft(converted)
    assert {key.removeprefix("unet.").split(".lora")[0] for key in found} == set(layers)


@pytest.mark.slow
def test_metadata_and_hashes_are_text_and_true(demo: models.Base, tmp_path: pathlib.Path) -> None:
    adapters.attach(demo.unet, adapters.UNET_TARGETS, dim=4, alpha=2.0, dropout=0.0, seed=1)
    path = tmp_path / "lora.safetensors"
    sha256 = lora_files.save(path, lora_files.kohya(demo, "fp16"), {"ss_network_alpha": "2.0", "other": "kept"})
    content = path.read_bytes()
    assert sha256 == hashlib.sha256(content).hexdigest()
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        kinds = {name.split(".", 1)[1]: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    half = torch.float16
    assert kinds == {"lora_down.weight": half, "lora_up.weight": half, "alpha": torch.float32}
    assert metadata["other"] == "kept"
    header_bytes = int.from_bytes(content[:8], "little")
    assert metadata["sshs_model_hash"] == hashlib.sha256(content[8 + header_bytes :]).hexdigest()
    assert len(metadata["sshs_legacy_hash"]) == 8
    assert json.dumps(metadata)
