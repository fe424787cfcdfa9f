"""The denoiser and its text encoder, trained together on latents: the base model's knowledge of shapes and monsters.

The text encoder is a CLIP text model of 3 layers, the denoiser a UNet of two levels with cross-attention in both:
3.9 million parameters together, v-prediction, zero terminal signal-to-noise ratio (Lin et al. 2024, arXiv 2305.08891).
"""

import copy
import dataclasses
import json
import os
import pathlib
import random

import diffusers
import torch
import transformers
from torch.nn import functional

from benchmarks.demo_models import autoencoder, pictures, training

CONTEXT_LENGTH = 24
BATCH = 48
PEAK_LEARNING_RATE = 1e-3
CAPTION_DROPOUT = 0.1  # so that guidance has an unconditional answer to lean away from
AVERAGE_DECAY = 0.998  # of the running mean of weights, which is what is kept


@dataclasses.dataclass(frozen=True)
class Networks:
    """What is trained here: text encoder and denoiser."""

    text_encoder: transformers.CLIPTextModel
    unet: diffusers.UNet2DConditionModel

    def parameters(self) -> list[torch.nn.Parameter]:
        """All parameters of both, in a fixed order."""
        return [*self.unet.parameters(), *self.text_encoder.parameters()]


def build(tokenizer: transformers.CLIPTokenizer) -> Networks:
    """Untrained networks."""
    text = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        projection_dim=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        cross_attention_dim=128,
        attention_head_dim=4,  # diffusers reads this as the number of heads
        norm_num_groups=16,
        block_out_channels=(96, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        mid_block_type=None,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
    )
    return Networks(transformers.CLIPTextModel(text), unet)


def read(folder: pathlib.Path) -> Networks:
    """Networks of a saved base model, in single precision."""
    return Networks(
        transformers.CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
        diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", dtype=torch.float32),
    )


def scheduler() -> diffusers.DDIMScheduler:
    """The noise schedule of training and sampling."""
    return diffusers.DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def examples(
    vae: diffusers.AutoencoderTiny, count: int, work: pathlib.Path, *, seed: int
) -> tuple[torch.Tensor, list[str]]:
    """Latents (count, 8, 8, 8) and captions of drawn pictures; kept in the work folder, encoding takes minutes."""
    kept = work / f"latents-{count}-{seed}.pt"
    if kept.exists():
        loaded = torch.load(kept, weights_only=True)
        return loaded["latents"], loaded["captions"]
    rng = random.Random(f"denoiser {seed}")
    model = copy.deepcopy(vae).eval().to(memory_format=torch.channels_last)
    latents, captions = [], []
    for start in range(0, count, 100):
        drawn = [pictures.subject(rng) for _ in range(min(100, count - start))]
        latents.append(autoencoder.encode(model, [pixels for pixels, _ in drawn]))
        captions += [caption for _, caption in drawn]
        if start % 10_000 == 0:
            print(f"latents: {start} of {count}", flush=True)
    together = torch.cat(latents)
    temporary = kept.with_suffix(".tmp")
    torch.save({"latents": together, "captions": captions}, temporary)
    os.replace(temporary, kept)
    return together, captions


def train(
    networks: Networks,
    latents: torch.Tensor,
    captions: list[str],
    tokenizer: transformers.CLIPTokenizer,
    steps: int,
    work: pathlib.Path,
    *,
    seed: int = 0,
) -> Networks:
    """Train for `steps` batches of 48 and return the running mean of the weights."""
    torch.manual_seed(seed)
    networks.unet.train()
    networks.text_encoder.train()
    text, empty = tokens(tokenizer, captions), tokens(tokenizer, [""])[0]
    noise_schedule = scheduler()
    parameters = networks.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    average = [parameter.detach().clone() for parameter in parameters]

    def save() -> training.State:
        weights = [parameter.detach() for parameter in parameters]
        return {"weights": weights, "average": average, "optimizer": optimizer.state_dict()}

    def load(state: training.State) -> None:
        _copy_into(parameters, state["weights"])
        _copy_into(average, state["average"])
        optimizer.load_state_dict(state["optimizer"])

    stage = training.Stage("denoiser", steps, work / "denoiser.pt", save, load)
    for step in stage.steps():
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate(step, steps, PEAK_LEARNING_RATE, hold=0.5)
        chosen = torch.randint(0, len(latents), (BATCH,))
        caption = text[chosen].clone()
        caption[torch.rand(BATCH) < CAPTION_DROPOUT] = empty
        loss = velocity_loss(networks, noise_schedule, latents[chosen], caption)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        stage.observe(loss.item(), step)
        decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(average, [parameter.detach() for parameter in parameters], 1 - decay)
    _copy_into(parameters, average)
    return networks


def velocity_loss(
    networks: Networks, noise_schedule: diffusers.DDIMScheduler, latents: torch.Tensor, caption: torch.Tensor
) -> torch.Tensor:
    """Mean squared error of the predicted velocity (Salimans and Ho 2022); latents (B, 8, 8, 8), caption (B, 24)."""
    noise = torch.randn_like(latents)
    timestep = torch.randint(0, noise_schedule.config.num_train_timesteps, (len(latents),))
    noisy = noise_schedule.add_noise(latents, noise, timestep)
    velocity = noise_schedule.get_velocity(latents, noise, timestep)
    predicted = networks.unet(noisy, timestep, networks.text_encoder(caption)[0]).sample
    return functional.mse_loss(predicted, velocity)


def tokens(tokenizer: transformers.CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """Token numbers of captions, (B, 24)."""
    encoded = tokenizer(captions, padding="max_length", truncation=True, max_length=CONTEXT_LENGTH, return_tensors="pt")
    numbers: torch.Tensor = encoded.input_ids
    return numbers


def write(
    networks: Networks,
    vae: diffusers.AutoencoderTiny,
    tokenizer: transformers.CLIPTokenizer,
    folder: pathlib.Path,
) -> None:
    """Write the base model as a folder for `StableDiffusionPipeline.from_pretrained`, in half precision."""
    pipeline = diffusers.StableDiffusionPipeline(
        vae=copy.deepcopy(vae).to(memory_format=torch.contiguous_format),
        text_encoder=copy.deepcopy(networks.text_encoder),
        tokenizer=tokenizer,
        unet=copy.deepcopy(networks.unet),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder)
    for part in ("vae", "unet"):  # where they were loaded from is nobody's business
        config = folder / part / "config.json"
        told = json.loads(config.read_text(encoding="utf-8"))
        told.pop("_name_or_path", None)
        config.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


@torch.no_grad()
def _copy_into(targets: list[torch.Tensor] | list[torch.nn.Parameter], values: list[torch.Tensor]) -> None:
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)
