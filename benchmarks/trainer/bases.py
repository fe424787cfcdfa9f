"""Bases of the full-size shapes with random weights: they train as fast as real ones."""

import pathlib
from typing import Any

import diffusers
import torch
import transformers

from trainers.bases import models
from trainers.lora import architecture

SIZES = {
    "sd15": {
        "unet": {
            "block_out_channels": (320, 640, 1280, 1280),
            "cross_attention_dim": 768,
            "attention_head_dim": 8,
            "sample_size": 64,
        },
        "text": [(768, 12, 12, 3072)],
    },
    "sdxl": {
        "unet": {
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
        },
        "text": [(768, 12, 12, 3072), (1280, 32, 20, 5120)],
    },
}


def random_base(size: str, precision: str, device: torch.device) -> models.Base:
    """A base of full-size shapes with random weights, made on the device; real tokenizers' lengths, tiny vocabulary."""
    shapes: dict[str, Any] = SIZES[size]
    dtype = {"no": torch.float32, "bf16": torch.bfloat16}[precision]
    tokenizer = transformers.CLIPTokenizer.from_pretrained(
        architecture.DEMO / "base" / "tokenizer", model_max_length=77
    )
    schedule = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
    )
    with torch.device(device):
        unet = diffusers.UNet2DConditionModel(**shapes["unet"]).to(dtype)
        vae = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            sample_size=512,
        )
        texts = [
            transformers.CLIPTextConfig(
                hidden_size=hidden,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=inner,
                projection_dim=hidden,
                vocab_size=721,
                bos_token_id=719,
                eos_token_id=720,
                pad_token_id=720,
            )
            for hidden, layers, heads, inner in shapes["text"]
        ]
        encoder = transformers.CLIPTextModel(texts[0]).to(dtype)
        second = transformers.CLIPTextModelWithProjection(texts[1]).to(dtype) if len(texts) > 1 else None
    parts = {"vae": vae, "text_encoder": encoder, "tokenizer": tokenizer, "unet": unet, "scheduler": schedule}
    pipeline: Any
    family: architecture.Family = "sd15" if second is None else "sdxl"
    if second is None:
        pipeline = diffusers.StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    else:
        pipeline = diffusers.StableDiffusionXLPipeline(**parts, text_encoder_2=second, tokenizer_2=tokenizer)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval().to(device)
    return models.Base(size, pathlib.Path(size), family, f"random {size}", f"random {size}", pipeline)
