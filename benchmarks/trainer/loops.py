"""The loops that are compared. Each trains `bench.steps` steps from a fresh LoRA and leaves the base as it was."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import accelerate
import diffusers
import peft
import torch

from benchmarks.trainer.bench import Bench
from benchmarks.trainer.parts import DATA, REST, Parts
from trainers.adapters import adapters
from trainers.bases import latents as cached_latents
from trainers.bases import models, text
from trainers.data import dataset
from trainers.lora import settings
from trainers.recipes import diffusion_lora
from trainers.training import loop


def ours(bench: Bench, name: str, parts: Parts | None = None) -> float:
    """The trainer's own loop, events and all; returns its seconds a step after the first."""
    order = bench.order(name)
    method = diffusion_lora.load(order, order.job.trials[0], {"train": 0.0, "sample": 0.0, "score": 0.0})
    marks: list[float] = []
    with _marked_steps(bench, marks), parts.watch_ours(method) if parts else contextlib.nullcontext():
        loop.run(method, method.course)
    method.clean()
    return (marks[1] - marks[0]) / (bench.steps - 1)


@contextlib.contextmanager
def _marked_steps(bench: Bench, marks: list[float]) -> Iterator[None]:
    """Notes the clock after the first and the last step of the trainer's own loop."""
    steps = loop._steps

    def marked(*args: Any) -> Iterator[Any]:
        for step, batches in steps(*args):
            yield step, batches
            if step in (1, bench.steps):
                marks.append(bench.clock())

    loop._steps = cast(Any, marked)
    try:
        yield
    finally:
        loop._steps = steps


def plain(bench: Bench, name: str, *, cached: bool, parts: Parts | None = None) -> float:
    """What diffusers' example script does; returns its seconds a step after the first.

    Each step reads its pictures, encodes them and their captions, runs peft's layers as they are and reads the loss.
    With `cached`, latents and captions are encoded beforehand, and nothing else differs.
    """
    train_job = bench.job(name)
    own = settings.lora_settings(train_job.trials[0].params, 1)
    base, pictures = bench.base, dataset.inspect(train_job.dataset).pictures
    accelerate.state.AcceleratorState._reset_state()
    accelerator = accelerate.Accelerator(mixed_precision=own.mixed_precision)
    known = [_encode(base, own, [picture]) for picture in pictures] if cached else None
    marks: list[float] = []
    with parts.watch(base, accelerator) if parts else contextlib.nullcontext():
        weights = _adapt(base, own)
        optimizer = accelerator.prepare_optimizer(torch.optim.AdamW(weights, lr=own.learning_rate))
        schedule = diffusers.DDPMScheduler.from_config(base.pipeline.scheduler.config)
        with parts.part(REST) if parts else contextlib.nullcontext():
            for step in range(bench.steps):
                rows = [(step * own.train_batch_size + row) % len(pictures) for row in range(own.train_batch_size)]
                with parts.part(DATA) if parts else contextlib.nullcontext():
                    if known:
                        encoded = _stack([known[row] for row in rows])
                    else:
                        encoded = _encode(base, own, [pictures[row] for row in rows])
                    loss = _loss(base, schedule, accelerator, *encoded)
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(weights, own.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
                loss.detach().item()
                if step in (0, bench.steps - 1):
                    marks.append(bench.clock())
    adapters.detach(base.unet)
    base.unet.eval()
    return (marks[1] - marks[0]) / (bench.steps - 1)


def _adapt(base: models.Base, own: settings.LoraSettings) -> list[torch.nn.Parameter]:
    config = peft.LoraConfig(r=own.network_dim, lora_alpha=own.network_alpha, target_modules=[*adapters.UNET_TARGETS])
    base.unet.add_adapter(config)
    base.unet.train()
    weights = adapters.weights(base.unet)
    for weight in weights:
        weight.data = weight.data.float()
    return weights


@torch.no_grad()
def _encode(
    base: models.Base, own: settings.LoraSettings, pictures: Sequence[dataset.TrainingImage]
) -> tuple[torch.Tensor, text.Conditioning]:
    """Latents (B, C, h, w) and conditioning of some pictures."""
    side = own.resolution or base.resolution
    pixels = torch.stack([cached_latents._pixels(picture, (side, side), False) for picture in pictures])
    encoded = base.vae.encode(pixels.to(base.vae.device, base.vae.dtype))
    latents = encoded.latent_dist.sample() if hasattr(encoded, "latent_dist") else encoded.latents
    tokens = [ids.to(latents.device) for ids in text.tokenize(base, [picture.caption for picture in pictures])]
    return latents * base.vae.config.scaling_factor, text.encode(base, tokens)


def _stack(encoded: Sequence[tuple[torch.Tensor, text.Conditioning]]) -> tuple[torch.Tensor, text.Conditioning]:
    pooled = [conditioning.pooled for _, conditioning in encoded]
    return torch.cat([latents for latents, _ in encoded]), text.Conditioning(
        torch.cat([conditioning.hidden for _, conditioning in encoded]),
        None if pooled[0] is None else torch.cat([each for each in pooled if each is not None]),
    )


def _loss(
    base: models.Base,
    schedule: diffusers.DDPMScheduler,
    accelerator: accelerate.Accelerator,
    latents: torch.Tensor,
    conditioning: text.Conditioning,
) -> torch.Tensor:
    noise = torch.randn_like(latents)
    times = torch.randint(schedule.config.num_train_timesteps, (len(latents),), device=latents.device)
    extra, side = None, latents.shape[-1] * base.pipeline.vae_scale_factor
    if conditioning.pooled is not None:
        ids = torch.tensor([[side, side, 0, 0, side, side]] * len(latents), device=latents.device)
        extra = {"text_embeds": conditioning.pooled, "time_ids": ids}
    with accelerator.autocast():
        noisy = schedule.add_noise(latents, noise, times).to(conditioning.hidden.dtype)
        prediction = base.unet(noisy, times, conditioning.hidden, added_cond_kwargs=extra).sample
    target = noise
    if schedule.config.prediction_type == "v_prediction":
        target = schedule.get_velocity(latents, noise, times)
    return torch.nn.functional.mse_loss(prediction.float(), target.float())
