"""The trainer against the field's loop, written out plainly with peft, diffusers and torch's own AdamW."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import peft
import pytest
import safetensors.torch
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.optimization import get_scheduler

from trainers.bases import latents
from trainers.contract import job
from trainers.data import dataset
from trainers.files import randomness
from trainers.lora import architecture, settings

Make = Callable[..., job.TrainJob]
Run = Callable[..., Any]
Tensors = dict[str, torch.Tensor]

UNET = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]
TEXT_ENCODER = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
STEPS = 8
LATENT = (8, 8, 8)  # a picture's latents in the demo base: channels, height, width
COSINE = {"lr_scheduler": "cosine", "lr_warmup_steps": 2}


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"gradient_accumulation_steps": 2, "network_alpha": 3.0, **COSINE},
        {"text_encoder_lr": 5e-4, "network_alpha": 16.0, "gradient_accumulation_steps": 4},
        {"min_snr_gamma": 5.0, "lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 3, "train_batch_size": 4},
        {"text_encoder_lr": 1e-3, "min_snr_gamma": 1.0, "max_grad_norm": 0.01, **COSINE},
    ],
    ids=["accumulation-alpha-cosine", "text-encoder-accumulation", "min-snr-warmup", "everything-clipped"],
)
def test_a_plain_peft_and_diffusers_loop_gives_the_same_losses_and_weights(
    params: dict[str, Any], make_job: Make, run: Run
) -> None:
    """Every loss to 1e-5 of itself, and every tensor of the LoRA to 1e-5 of its norm, or as near as float32 can tell.

    Where a gradient is nearly nothing (query and key of one cross-attention here), Adam divides noise by noise. There
    the plain loop in float32 is as far from itself in float64 (2e-5 to 2e-4), and ours may be ten times that from it.
    """
    common = {"learning_rate": 1e-3, "network_dim": 8, "max_train_steps": STEPS, "caption_dropout": 0.0}
    train_job = make_job({**common, **params}, drop=("network_alpha",))
    told = run(train_job)
    losses, reference = plain_loop(train_job, torch.float32)
    _, exact = plain_loop(train_job, torch.float64)
    assert [step["loss"] for step in told.all("step")] == pytest.approx(losses, rel=1e-5)
    file = pathlib.Path(train_job.trials[0].directory) / "lora.safetensors"
    trained = {name: tensor for name, tensor in safetensors.torch.load_file(file).items() if "alpha" not in name}
    assert trained.keys() == reference.keys()
    noise = {name: float((whole - exact[name]).norm() / exact[name].norm()) for name, whole in reference.items()}
    apart = {name: float((trained[name] - whole).norm() / whole.norm()) for name, whole in reference.items()}
    assert {name: share for name, share in apart.items() if share > max(1e-5, 10 * noise[name])} == {}


@dataclasses.dataclass(frozen=True)
class Batch:
    pixels: torch.Tensor
    captions: list[str]
    noise: torch.Tensor
    times: torch.Tensor

    def to(self, dtype: torch.dtype) -> "Batch":
        return dataclasses.replace(self, pixels=self.pixels.to(dtype), noise=self.noise.to(dtype))


def plain_loop(train_job: job.TrainJob, dtype: torch.dtype) -> tuple[list[float], Tensors]:
    """Losses and final LoRA of a job, by a loop that encodes each batch anew."""
    own = settings.lora_settings(train_job.trials[0].params, train_job.trials[0].seed)
    pipe = StableDiffusionPipeline.from_pretrained(architecture.DEMO / "base", dtype=dtype)
    schedule = DDIMScheduler.from_config(pipe.scheduler.config)
    models = {"lora_unet_": (pipe.unet, UNET, own.learning_rate)}
    if own.text_encoder_lr:
        models["lora_te_"] = (pipe.text_encoder, TEXT_ENCODER, own.text_encoder_lr)
    groups: list[dict[str, Any]] = []
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.requires_grad_(False)
    for number, (model, targets, rate) in enumerate(models.values()):
        torch.manual_seed(randomness.seed_for(own.seed, "init", number))
        model.add_adapter(peft.LoraConfig(r=own.network_dim, lora_alpha=own.network_alpha, target_modules=targets))
        model.train()
        groups.append({"params": [weight for weight in model.parameters() if weight.requires_grad], "lr": rate})
    trained = [weight for group in groups for weight in group["params"]]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    rates = get_scheduler(own.lr_scheduler, optimizer, num_warmup_steps=own.lr_warmup_steps, num_training_steps=STEPS)
    batches, losses = iter(epochs(train_job, own)), []
    for _ in range(STEPS):
        parts = []
        for _ in range(own.gradient_accumulation_steps):
            loss = loss_of(pipe, schedule, next(batches).to(dtype), own.min_snr_gamma)
            (loss / own.gradient_accumulation_steps).backward()
            parts.append(loss.item())
        torch.nn.utils.clip_grad_norm_(trained, own.max_grad_norm)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        losses.append(math.fsum(parts) / len(parts))
    return losses, {
        name: tensor
        for prefix, (model, *_) in models.items()
        for name, tensor in in_kohyas_names(prefix, model).items()
    }


def loss_of(pipe: StableDiffusionPipeline, schedule: DDIMScheduler, batch: Batch, gamma: float) -> torch.Tensor:
    with torch.no_grad():
        latents = pipe.vae.encode(batch.pixels).latents * pipe.vae.config.scaling_factor
    ids = pipe.tokenizer(batch.captions, padding="max_length", return_tensors="pt").input_ids
    noisy = schedule.add_noise(latents, batch.noise, batch.times)
    prediction = pipe.unet(noisy, batch.times, pipe.text_encoder(ids)[0]).sample
    target = schedule.get_velocity(latents, batch.noise, batch.times)
    if not gamma:
        return torch.nn.functional.mse_loss(prediction, target)
    # diffusers' example scripts: min(snr, gamma) / (snr + 1) for v-prediction
    alpha = schedule.alphas_cumprod[batch.times]
    snr = (alpha**0.5 / (1 - alpha) ** 0.5) ** 2
    weights = torch.stack([snr, gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0] / (snr + 1)
    losses = torch.nn.functional.mse_loss(prediction, target, reduction="none")
    return (losses.mean(dim=[1, 2, 3]) * weights).mean()


def epochs(train_job: job.TrainJob, own: settings.LoraSettings) -> Iterable[Batch]:
    """The batches that the trainer draws: its order and its noise are the only things taken from it."""
    pictures = dataset.inspect(train_job.dataset).pictures
    empty = torch.empty(0)
    shelf = latents.Shelf(tuple(range(len(pictures))), empty, None, empty, empty)
    examples, number = latents.Examples((shelf,), (), 1), 0
    for epoch in range(100):
        for _, rows in examples.epoch(own.train_batch_size, own.seed, epoch):
            chosen = [pictures[row] for row in rows]
            generator = torch.Generator().manual_seed(randomness.seed_for(own.seed, "batch", number))
            torch.randint(1, (len(chosen),), generator=generator)
            shape = (len(chosen), *LATENT)
            torch.randn(shape, generator=generator)
            noise = torch.randn(shape, generator=generator)
            times = torch.randint(1000, (len(chosen),), generator=generator)
            pixels = torch.stack([latents._pixels(picture, (64, 64), False) for picture in chosen])
            yield Batch(pixels, [picture.caption for picture in chosen], noise, times)
            number += 1


def in_kohyas_names(prefix: str, model: Any) -> Tensors:
    stem = prefix if prefix == "lora_unet_" else f"{prefix}text_model_"
    return {
        stem
        + key.removeprefix("text_model.").rsplit(".lora_", 1)[0].replace(".", "_")
        + (".lora_down.weight" if ".lora_A." in key else ".lora_up.weight"): tensor
        for key, tensor in peft.get_peft_model_state_dict(model).items()
    }
