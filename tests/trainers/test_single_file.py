"""A base in one `.safetensors` file, in the key layouts that SD 1.5 and SDXL checkpoints are shared in."""

import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from trainers.bases import models
from trainers.contract import errors, job
from trainers.lora import architecture

CPU = torch.device("cpu")
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
Rules = tuple[tuple[str, Callable[[re.Match[str]], str]], ...]
UNET: Rules = (
    (r"time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
    (r"conv_in", lambda m: "input_blocks.0.0"),
    (r"conv_norm_out", lambda m: "out.0"),
    (r"conv_out", lambda m: "out.2"),
    (
        r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"input_blocks.{3 * int(m[1]) + int(m[3]) + 1}.{int(m[2] == 'attentions')}",
    ),
    (r"down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op"),
    (
        r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"output_blocks.{3 * int(m[1]) + int(m[3])}.{int(m[2] == 'attentions')}",
    ),
    (
        r"up_blocks\.(\d)\.upsamplers\.0\.conv",
        lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 if m[1] == '0' else 2}.conv",
    ),
    (r"mid_block\.attentions\.0", lambda m: "middle_block.1"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
)
VAE: Rules = (
    (r"encoder\.down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"encoder.down.{m[1]}.block.{m[2]}"),
    (r"encoder\.down_blocks\.(\d)\.downsamplers\.0", lambda m: f"encoder.down.{m[1]}.downsample"),
    (r"decoder\.up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"decoder.up.{3 - int(m[1])}.block.{m[2]}"),
    (r"decoder\.up_blocks\.(\d)\.upsamplers\.0", lambda m: f"decoder.up.{3 - int(m[1])}.upsample"),
    (r"(..coder)\.mid_block\.resnets\.(\d)", lambda m: f"{m[1]}.mid.block_{int(m[2]) + 1}"),
    (r"(..coder)\.mid_block\.attentions\.0", lambda m: f"{m[1]}.mid.attn_1"),
)
VAE_PARTS = {
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


#: the parts that both families have, tiny
TINY_TEXT = {
    "bos_token_id": 719,
    "eos_token_id": 720,
    "pad_token_id": 720,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 721,
    "max_position_embeddings": 24,
}
TINY_VAE = {
    "block_out_channels": (16, 16, 32, 32),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 8,
}


@pytest.fixture(scope="module")
def pipeline() -> Any:
    torch.manual_seed(0)
    return StableDiffusionPipeline(
        unet=UNet2DConditionModel(
            block_out_channels=(32, 32, 64, 64),
            cross_attention_dim=32,
            attention_head_dim=4,
            norm_num_groups=16,
            sample_size=8,
        ),
        vae=AutoencoderKL(**TINY_VAE),
        text_encoder=transformers.CLIPTextModel(transformers.CLIPTextConfig(**TINY_TEXT)),
        tokenizer=transformers.CLIPTokenizer.from_pretrained(architecture.DEMO / "base" / "tokenizer"),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def shared_layout(pipeline: Any, unet: Rules = UNET) -> dict[str, torch.Tensor]:
    """The pipeline's weights under the names that checkpoints are shared with."""
    file: dict[str, torch.Tensor] = {}
    for name, tensor in pipeline.unet.state_dict().items():
        renamed = rename(name, unet)
        if ".resnets." in name:
            renamed = replace(renamed, RESNET)
        file[f"model.diffusion_model.{renamed}"] = tensor
    for name, tensor in pipeline.vae.state_dict().items():
        is_attention = ".attentions." in name and "group_norm" not in name and name.endswith("weight")
        shaped = tensor[:, :, None, None] if is_attention else tensor
        file[f"first_stage_model.{replace(rename(name, VAE), VAE_PARTS)}"] = shaped
    for name, tensor in pipeline.text_encoder.state_dict().items():
        file[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    return {name: tensor.contiguous() for name, tensor in file.items()}


def rename(name: str, rules: Rules) -> str:
    for pattern, to in rules:
        match = re.match(pattern, name)
        if match:
            return to(match) + name[match.end() :]
    return name


def replace(name: str, parts: dict[str, str]) -> str:
    for ours, theirs in parts.items():
        name = re.sub(rf"(?<=\.){re.escape(ours)}(?=\.)", theirs, name)
    return name


@pytest.fixture
def single_file(pipeline: Any, tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "model.safetensors"
    safetensors.torch.save_file(shared_layout(pipeline), file)
    pipeline.save_pretrained(tmp_path / "model")
    for weights in (tmp_path / "model").rglob("*.safetensors"):
        weights.unlink()
    return file


@pytest.mark.slow
def test_a_single_file_loads_as_the_model_it_was_made_of(
    pipeline: Any, single_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    base = models.load(str(single_file), "no", CPU, tmp_path)
    assert base.family == "sd15"
    for name in ("unet", "vae", "text_encoder"):
        made_of, loaded = getattr(pipeline, name).state_dict(), getattr(base.pipeline, name).state_dict()
        assert made_of.keys() == loaded.keys()
        assert all(torch.equal(made_of[key], loaded[key]) for key in made_of), name


@pytest.mark.slow
def test_a_single_file_in_half_precision_keeps_its_vae_whole(
    pipeline: Any, single_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    base = models.load(str(single_file), "bf16", CPU, tmp_path)
    assert {weight.dtype for weight in (*base.unet.parameters(), *base.text_encoders[0].parameters())} == {
        torch.bfloat16
    }
    for name, weight in pipeline.vae.state_dict().items():
        assert torch.equal(base.vae.state_dict()[name], weight), name
    for name, weight in pipeline.unet.state_dict().items():
        assert torch.equal(base.unet.state_dict()[name], weight.to(torch.bfloat16)), name


@pytest.mark.slow
def test_a_single_file_trains(single_file: pathlib.Path, make_job: Callable[..., job.TrainJob], run: Any) -> None:
    told = run(make_job({"max_train_steps": 2}, base=str(single_file)))
    assert told.one("trial-finished")["outcome"] == "finished"


def test_a_file_that_is_no_base_says_what_a_base_needs(
    single_file: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    safetensors.torch.save_file({"lora_unet_a.alpha": torch.ones(1)}, single_file)
    with pytest.raises(errors.ModelError, match="holds no tokenizer and no configuration"):
        models.load(str(single_file), "no", CPU, tmp_path)


SDXL_UNET = (
    (r"add_embedding\.linear_(\d)", lambda m: f"label_emb.0.{2 * int(m[1]) - 2}"),
    (r"up_blocks\.(\d)\.upsamplers\.0\.conv", lambda m: f"output_blocks.{3 * int(m[1]) + 2}.2.conv"),
    *UNET,
)
#: the second encoder keeps open_clip's names, with query, key and value in one matrix
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


@pytest.fixture(scope="module")
def large() -> Any:
    torch.manual_seed(0)
    shape = {**TINY_TEXT, "projection_dim": 32}
    tokenizer = transformers.CLIPTokenizer.from_pretrained(architecture.DEMO / "base" / "tokenizer")
    return StableDiffusionXLPipeline(
        unet=UNet2DConditionModel(
            block_out_channels=(32, 32, 64),
            layers_per_block=2,
            sample_size=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2, 2),
            projection_class_embeddings_input_dim=112,
            cross_attention_dim=96,
            norm_num_groups=16,
        ),
        vae=AutoencoderKL(**TINY_VAE),
        text_encoder=transformers.CLIPTextModel(transformers.CLIPTextConfig(**shape)),
        # loaders tell the two encoders of a file apart by their width
        text_encoder_2=transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig(**shape | {"hidden_size": 64, "projection_dim": 64})
        ),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
        ),
    )


def large_layout(pipeline: Any) -> dict[str, torch.Tensor]:
    """The pipeline's weights under the names that SDXL checkpoints are shared with."""
    file = {name: tensor for name, tensor in shared_layout(pipeline, SDXL_UNET).items() if "cond_stage" not in name}
    for name, tensor in pipeline.text_encoder.state_dict().items():
        file[f"conditioner.embedders.0.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    second = pipeline.text_encoder_2.state_dict()
    out = "conditioner.embedders.1.model"
    for name, tensor in second.items():
        kept = re.match(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
        if kept and "self_attn.out_proj" not in name and "self_attn" in name:
            continue
        if kept:
            file[f"{out}.transformer.resblocks.{kept[1]}.{OPEN_CLIP[kept[2]]}.{kept[3]}"] = tensor
    for layer in range(pipeline.text_encoder_2.config.num_hidden_layers):
        for kind in ("weight", "bias"):
            parts = [second[f"text_model.encoder.layers.{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            file[f"{out}.transformer.resblocks.{layer}.attn.in_proj_{kind}"] = torch.cat(parts)
    file[f"{out}.token_embedding.weight"] = second["text_model.embeddings.token_embedding.weight"]
    file[f"{out}.positional_embedding"] = second["text_model.embeddings.position_embedding.weight"]
    file[f"{out}.ln_final.weight"] = second["text_model.final_layer_norm.weight"]
    file[f"{out}.ln_final.bias"] = second["text_model.final_layer_norm.bias"]
    file[f"{out}.text_projection"] = second["text_projection.weight"].T
    return {name: tensor.contiguous().clone() for name, tensor in file.items()}


@pytest.fixture
def large_file(large: Any, tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "large.safetensors"
    safetensors.torch.save_file(large_layout(large), file)
    large.save_pretrained(tmp_path / "large")
    for weights in (tmp_path / "large").rglob("*.safetensors"):
        weights.unlink()
    return file


def test_an_sdxl_file_loads_as_the_model_it_was_made_of(
    large: Any, large_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    base = models.load(str(large_file), "no", CPU, tmp_path)
    assert base.family == "sdxl"
    for name in ("unet", "vae", "text_encoder", "text_encoder_2"):
        made_of, loaded = getattr(large, name).state_dict(), getattr(base.pipeline, name).state_dict()
        assert made_of.keys() == loaded.keys()
        assert all(torch.equal(made_of[key], loaded[key]) for key in made_of), name


@pytest.mark.slow
def test_an_sdxl_file_trains(large_file: pathlib.Path, make_job: Callable[..., job.TrainJob], run: Any) -> None:
    told = run(make_job({"max_train_steps": 2, "text_encoder_lr": 1e-4}, base=str(large_file)))
    assert told.one("trial-finished")["outcome"] == "finished"
