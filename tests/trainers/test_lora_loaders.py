"""Our LoRA files by the rules of the loaders people use, put in our own words, at the full size of SD 1.5 and SDXL.

ComfyUI (`comfy/lora.py`): for every weight of the UNet, named as diffusers does, it looks for `lora_unet_` and the name
with underscores for dots; for six kinds of layer of each text encoder for `lora_te_` (SD 1.5), `lora_te1_` and
`lora_te2_` (SDXL), then `text_model_encoder_layers_`, the layer's number and the layer. To that it adds
`.lora_up.weight`, `.lora_down.weight` and `.alpha`; what it has not looked for is dropped with a warning. Of the layout
of diffusers it looks for `unet.` and the name with dots, in attentions with `.processor.to_` and without the `.0` of
`to_out`, and for `text_encoder.text_model.encoder.layers.`; to that it adds `_lora.up.weight`, `.lora.up.weight` or
`.lora_B.weight`.

A1111 (`extensions-builtin/Lora`): a name with `down_blocks_B_attentions_I` is the layer `input_blocks_(1 + 3 B + I)_1`
of the checkpoint's own names, `up_blocks_B_attentions_I` is `output_blocks_(3 B + I)_1`, `mid_block_attentions_I` is
`middle_block_1`; what follows stays.
"""

import re
from typing import Any

import pytest
import torch
import transformers
from diffusers import UNet2DConditionModel

from tests.trainers import test_single_file
from tests.trainers.adapters import test_lora_files
from trainers.adapters import adapters, lora_files

SMALL_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
LARGE_TEXT = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
FAMILIES = [
    pytest.param(test_lora_files.SD15_BLOCKS, test_single_file.UNET, id="sd15"),
    pytest.param(test_lora_files.SDXL_BLOCKS, test_single_file.SDXL_UNET, id="sdxl"),
]


def unet(config: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return UNet2DConditionModel(**config)


def stems(model: Any, prefix: str, targets: Any) -> dict[str, tuple[int, int]]:
    """Our name of each layer that a LoRA is put into, with the (out, in) that its two matrices make."""
    adapters.attach(model, targets, dim=2, alpha=1.0, dropout=0.0, seed=0)
    return {
        lora_files.module_key(prefix, name): (
            layer.lora_B[adapters.NAME].weight.shape[0],
            layer.lora_A[adapters.NAME].weight.shape[1],
        )
        for name, layer in adapters.layers(model)
    }


@pytest.mark.slow
@pytest.mark.parametrize(("config", "_"), FAMILIES)
def test_comfyui_finds_every_layer_of_the_unet(config: dict[str, Any], _: Any) -> None:
    looked_for = {
        f"lora_unet_{name.removesuffix('.weight').replace('.', '_')}": tuple(weight.shape[:2])
        for name, weight in unet(config).state_dict().items()
        if name.endswith(".weight")
    }
    ours = stems(unet(config), lora_files.UNET_PREFIX, adapters.UNET_TARGETS)
    assert ours.items() <= looked_for.items()


@pytest.mark.slow
@pytest.mark.parametrize(("config", "_"), FAMILIES)
def test_comfyui_finds_every_layer_of_the_unet_in_diffusers_layout(config: dict[str, Any], _: Any) -> None:
    looked_for = set()
    for name in unet(config).state_dict():
        if name.endswith(".weight"):
            stem = f"unet.{name.removesuffix('.weight').replace('.to_', '.processor.to_')}"
            stem = stem.removesuffix(".0") if stem.endswith(".to_out.0") else stem
            looked_for |= {f"{stem}{suffix}" for suffix in ("_lora.up.weight", ".lora.up.weight", ".lora_B.weight")}
    model = unet(config)
    adapters.attach(model, adapters.UNET_TARGETS, dim=2, alpha=1.0, dropout=0.0, seed=0)
    ours = {lora_files.diffusers_keys("unet", name)[1] for name, _ in adapters.layers(model)}
    assert ours <= looked_for


@pytest.mark.slow
@pytest.mark.parametrize(("config", "renamed"), FAMILIES)
def test_a1111_finds_every_layer_of_the_unet(config: dict[str, Any], renamed: test_single_file.Rules) -> None:
    there = {
        test_single_file.rename(name, renamed).removesuffix(".weight").replace(".", "_"): tuple(weight.shape[:2])
        for name, weight in unet(config).state_dict().items()
        if name.endswith(".weight")
    }
    for name, shape in stems(unet(config), lora_files.UNET_PREFIX, adapters.UNET_TARGETS).items():
        found = re.fullmatch(r"lora_unet_(down|up|mid)_blocks?_?(\d*)_attentions_(\d+)_(.+)", name)
        assert found, name
        side, block, index, rest = found[1], int(found[2] or 0), int(found[3]), found[4]
        place = {
            "down": f"input_blocks_{1 + 3 * block + index}_1",
            "up": f"output_blocks_{3 * block + index}_1",
            "mid": "middle_block_1",
        }
        assert there[f"{place[side]}_{rest}"] == shape, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prefix", "kind", "shape"),
    [
        ("lora_te", transformers.CLIPTextModel, SMALL_TEXT),
        ("lora_te1", transformers.CLIPTextModel, SMALL_TEXT),
        ("lora_te2", transformers.CLIPTextModelWithProjection, LARGE_TEXT),
    ],
)
def test_both_find_every_layer_of_the_text_encoders(prefix: str, kind: Any, shape: dict[str, int]) -> None:
    with torch.device("meta"):
        encoder = kind(transformers.CLIPTextConfig(**shape))
    kinds = ("mlp_fc1", "mlp_fc2", *(f"self_attn_{part}_proj" for part in ("k", "q", "v", "out")))
    looked_for = {
        f"{prefix}_text_model_encoder_layers_{number}_{layer}"
        for number in range(shape["num_hidden_layers"])
        for layer in kinds
    }
    assert stems(encoder, prefix, adapters.TEXT_ENCODER_TARGETS).keys() == looked_for


def test_a_file_holds_nothing_that_loaders_do_not_look_for(tmp_path: Any) -> None:
    from trainers.bases import models

    base = models.load("demo", "no", torch.device("cpu"), tmp_path)
    adapters.attach(base.unet, adapters.UNET_TARGETS, dim=4, alpha=3.0, dropout=0.0, seed=1)
    adapters.attach(base.text_encoders[0], adapters.TEXT_ENCODER_TARGETS, dim=4, alpha=3.0, dropout=0.0, seed=2)
    file = lora_files.kohya(base, "fp16")
    names = {key.split(".", 1)[0] for key in file}
    assert file.keys() == {
        f"{name}.{part}" for name in names for part in ("lora_up.weight", "lora_down.weight", "alpha")
    }
    # the strength of an update is alpha / rank, and loaders read the rank off lora_down
    assert {file[f"{name}.alpha"].item() / file[f"{name}.lora_down.weight"].shape[0] for name in names} == {0.75}
