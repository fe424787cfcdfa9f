"""LoRA for Stable Diffusion 1.5 and SDXL: what is loaded, adapted, asked for its loss, drawn and saved.

Reads from top to bottom in the order things happen; what happens around the steps is `trainers.training.loop`'s.
Everything random is drawn from a seed of its own (`trainers.files.randomness`), so that equal seeds give equal results
and a resumed trial is the uninterrupted one.

Shapes: B images of a batch, C latent channels, h and w latent sides, T tokens.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import accelerate.state
import torch
from diffusers import DDPMScheduler

from trainers.adapters import adapters, lora_files, lora_metadata
from trainers.bases import captions, diffusion, latents, models
from trainers.contract import events, interruption, job
from trainers.data import dataset
from trainers.files import cache, randomness
from trainers.lora import settings, steps, written
from trainers.recipes import evaluation, kept, orders, trials
from trainers.training import learner, loop, optim


class DiffusionLoraRecipe:
    """Serves the jobs of one process; the base model and the scorer stay loaded between them."""

    def __init__(self) -> None:
        self.device = str(accelerate.state.PartialState().device)
        self._kept = kept.Kept()

    def run(self, train_job: job.TrainJob, reporter: events.Reporter, asked: interruption.Interruption) -> None:
        run(orders.Order(train_job, reporter, asked, self._kept))


def run(order: orders.Order) -> None:
    """Run every trial of a job, one after another; see `recipes.Recipe.run`."""
    trials.run(order, _run_trial)


def _run_trial(order: orders.Order, spec: job.TrialSpec, seconds: dict[str, float]) -> str:
    """One trial to its outcome; the base is left as it was loaded."""
    with orders.Clock(seconds, "load"):
        method = load(order, spec, seconds)
    method.course.tell("loaded", seconds=seconds["load"])
    try:
        with orders.Clock(seconds, "train"):
            ended_early = loop.run(method, method.course)
        if ended_early:
            return ended_early
        evaluation.evaluate(order, spec, method.yardstick, method.course.plan.total_steps, seconds)
    finally:
        method.clean()
    return "finished"


# --- load -------------------------------------------------------------------------------------------------------------


def load(order: orders.Order, spec: job.TrialSpec, seconds: dict[str, float]) -> "DiffusionLora":
    """Everything that one trial needs, on its device.

    Args:
        seconds: by phase; what milestones take is moved from training to theirs.
    """
    own = settings.lora_settings(spec.params, spec.seed)
    facts = dataset.inspect(order.job.dataset)
    accelerator = learner.fresh_accelerator(own.mixed_precision)
    device = accelerator.device
    base = order.kept.base(order.job.base, own.mixed_precision, device, order.cache)
    order.asked.check()
    examples = latents.prepare(base, facts, own, order.cache, flip=order.job.dataset.flip)
    yardstick = evaluation.yardstick(order, spec, base, facts, device)
    noise_schedule = DDPMScheduler.from_config(base.pipeline.scheduler.config)
    noise_schedule.alphas_cumprod = noise_schedule.alphas_cumprod.to(device)
    plan = steps.plan(examples.batches_per_epoch(own.train_batch_size), own)
    return DiffusionLora(
        order=order,
        course=loop.Course(
            spec, order.job, order.reporter, order.asked, plan, facts.images, written.milestones(order.job.evaluation)
        ),
        settings=own,
        accelerator=accelerator,
        base=base,
        dtype=base.unet.dtype,  # walks through all modules: once, not in each step
        noise_schedule=noise_schedule,
        yardstick=yardstick,
        facts=facts,
        examples=examples,
        captions=captions.Captions(base, examples.captions, order.cache, learned=own.text_encoder_lr > 0),
        seconds=seconds,
        began=time.time(),
    )


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Rows (B,) of a shelf; `number` counts batches over the whole run and seeds everything random about it."""

    number: int
    shelf: latents.Shelf
    rows: torch.Tensor


@dataclasses.dataclass(frozen=True)
class DiffusionLora:
    """One trial with everything it needs, loaded and on its device: a `loop.Method`.

    `dtype` is the UNet's, `began` in seconds since the epoch.
    """

    order: orders.Order
    course: loop.Course
    settings: settings.LoraSettings
    accelerator: accelerate.Accelerator
    base: models.Base
    dtype: torch.dtype
    noise_schedule: Any
    yardstick: evaluation.Yardstick
    facts: dataset.DatasetFacts
    examples: latents.Examples
    captions: captions.Captions
    seconds: dict[str, float]
    began: float

    def adapt(self) -> learner.Learner:
        """Put a LoRA into the UNet and, where they are trained, into the text encoders."""
        own, base = self.settings, self.base
        trained: list[tuple[Any, tuple[str, ...]]] = []
        if own.learning_rate > 0:
            trained.append((base.unet, adapters.UNET_TARGETS))
        if own.text_encoder_lr > 0:
            trained += [(encoder, adapters.TEXT_ENCODER_TARGETS) for encoder in base.text_encoders]
        for number, (model, targets) in enumerate(trained):
            adapters.attach(
                model,
                targets,
                dim=own.network_dim,
                alpha=own.network_alpha,
                dropout=own.network_dropout,
                seed=randomness.seed_for(own.seed, "init", number),
            )
            model.train()
            if own.gradient_checkpointing:
                adapters.set_gradient_checkpointing(model, on=True)
        unet = adapters.weights(base.unet)
        text_encoders = [weight for each in base.text_encoders for weight in adapters.weights(each)]
        optimizer = optim.optimizer(own, unet, text_encoders)
        return learner.Learner(
            weights=[*unet, *text_encoders],
            schedule=optim.schedule(own, self.course.plan, optimizer),
            optimizer=self.accelerator.prepare_optimizer(optimizer),
            accelerator=self.accelerator,
            batches_per_step=own.gradient_accumulation_steps,
            max_grad_norm=own.max_grad_norm,
            fingerprint=cache.key(settings=dataclasses.asdict(own), base=base.sha256, dataset=self.facts.hash),
        )

    # --- train --------------------------------------------------------------------------------------------------------

    def epoch(self, number: int) -> list[_Batch]:
        """The batches of an epoch, each of pictures of one size."""
        order = self.examples.epoch(self.settings.train_batch_size, self.settings.seed, number)
        before = number * self.course.plan.batches_per_epoch
        return [_Batch(before + at, self.examples.shelves[shelf], rows) for at, (shelf, rows) in enumerate(order)]

    def loss(self, batch: _Batch) -> torch.Tensor:
        """The loss of a batch: a scalar in float32."""
        own, device, noise_schedule = self.settings, self.accelerator.device, self.noise_schedule
        shelf, rows = batch.shelf, batch.rows
        draws = diffusion.draw(
            randomness.seed_for(own.seed, "batch", batch.number),
            (len(rows), *shelf.mean.shape[2:]),
            flips=self.examples.flips,
            timesteps=noise_schedule.config.num_train_timesteps,
            noise_offset=own.noise_offset,
            caption_dropout=own.caption_dropout,
        )
        if own.network_dropout > 0:  # the only user of the global generator
            torch.manual_seed(randomness.seed_for(own.seed, "dropout", batch.number))

        draws, rows = draws.to(device), diffusion.move(rows, device)
        latents = shelf.mean[rows, draws.flips]
        if shelf.deviation is not None:
            latents = latents + shelf.deviation[rows, draws.flips] * draws.posterior
        noisy = noise_schedule.add_noise(latents, draws.noise, draws.times)
        with self.accelerator.autocast():
            empty = len(self.examples.captions) - 1
            conditioning = self.captions(shelf.captions[rows].masked_fill(draws.dropped, empty))
            extra = None
            if conditioning.pooled is not None:
                extra = {"text_embeds": conditioning.pooled, "time_ids": shelf.time_ids[rows]}
            prediction = self.base.unet(
                noisy.to(self.dtype),
                draws.times,
                encoder_hidden_states=conditioning.hidden,
                added_cond_kwargs=extra,
                return_dict=False,
            )[0]
        target = diffusion.target(noise_schedule, latents, draws.noise, draws.times)
        losses = torch.nn.functional.mse_loss(prediction.float(), target, reduction="none").mean(dim=(1, 2, 3))
        if own.min_snr_gamma > 0:
            losses = losses * diffusion.min_snr_weights(noise_schedule, draws.times, own.min_snr_gamma)
        return losses.mean()

    def look(self, at: loop.Milestone) -> Mapping[str, Any]:
        """A few pictures' metrics."""
        return evaluation.glance(self.order, self.yardstick, self.seconds)

    # --- end ----------------------------------------------------------------------------------------------------------

    def update_norm(self) -> float:
        """Frobenius norm of the updates of all adapted models together."""
        norms = [adapters.update_norm(model) for model in (self.base.unet, *self.base.text_encoders)]
        return float(sum(each**2 for each in norms) ** 0.5)

    def save(self) -> None:
        """Write the LoRA with what it says about itself; the models are left as they draw."""
        own, base, course = self.settings, self.base, self.course
        metadata = lora_metadata.describe(
            course.job,
            course.spec,
            own,
            course.plan,
            self.facts,
            family=base.family,
            base_sha256=base.sha256,
            resolution=own.resolution or base.resolution,
            started=self.began,
            finished=time.time(),
        )
        layout = lora_files.diffusers if own.save_format == "diffusers" else lora_files.kohya
        sha256 = lora_files.save(course.paths.lora, layout(base, own.save_precision), metadata)
        course.tell("saved", path=str(course.paths.lora), sha256=sha256)
        for model in (base.unet, *base.text_encoders):
            model.eval()

    def clean(self) -> None:
        """Leave the base as it was loaded."""
        for model in (self.base.unet, *self.base.text_encoders):
            adapters.detach(model)
            model.eval()
            if self.settings.gradient_checkpointing:
                adapters.set_gradient_checkpointing(model, on=False)
