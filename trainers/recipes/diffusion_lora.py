"""LoRA for Stable Diffusion 1.5 and SDXL: one job from its file to its scores.

Reads from top to bottom in the order things happen. A step is an optimizer step everywhere. Everything random is
drawn from a seed of its own (`trainers.files.randomness`), so that equal seeds give equal results and a resumed trial
is the uninterrupted one.

Shapes: B images of a batch, C latent channels, h and w latent sides, T tokens.
"""

import dataclasses
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import accelerate
import accelerate.state
import torch
from diffusers import DDPMScheduler

from trainers.adapters import adapters, lora_files, lora_metadata
from trainers.bases import diffusion, models, text
from trainers.bases import latents as data
from trainers.contract import errors, events, interruption, job, paths, points
from trainers.data import dataset
from trainers.declared import settings, steps
from trainers.files import cache, randomness
from trainers.recipes import evaluation, kept, orders
from trainers.training import checkpoints, health, memory, optim

#: a divergence is found at most this many steps after it happened
_LONGEST_BLINDNESS_STEPS = 20


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial with everything it needs, loaded and on its device; `dtype` is the UNet's."""

    order: orders.Order
    spec: job.TrialSpec
    settings: settings.LoraSettings
    plan: steps.StepPlan
    accelerator: accelerate.Accelerator
    base: models.Base
    dtype: torch.dtype
    noise_schedule: Any
    yardstick: evaluation.Yardstick
    facts: dataset.DatasetFacts
    examples: data.Examples

    @property
    def paths(self) -> paths.TrialPaths:
        return paths.TrialPaths(pathlib.Path(self.spec.directory))

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device

    def tell(self, event: str, **fields: Any) -> None:
        self.order.reporter.tell(event, self.spec.number, **fields)


class Recipe:
    """Serves the jobs of one process; the base model and the judge stay loaded between them."""

    def __init__(self) -> None:
        self.device = str(accelerate.state.PartialState().device)
        self._kept = kept.Kept()

    def run(self, train_job: job.TrainJob, reporter: events.Reporter, asked: interruption.Interruption) -> None:
        run(orders.Order(train_job, reporter, asked, self._kept))


def run(order: orders.Order) -> None:
    """Run every trial of a job, one after another; see `recipes.Recipe.run`."""
    for spec in order.job.trials:
        seconds = {"load": 0.0, "train": 0.0, "sample": 0.0, "score": 0.0}
        try:
            outcome = _run_trial(order, spec, seconds)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            outcome = "failed"
            message = (str(error).strip() or "out of memory").splitlines()[0]
            finding = health.Finding("out-of-memory", 0, message, {})
            order.reporter.tell("failed", spec.number, **dataclasses.asdict(finding), fatal=True)
        except errors.ParameterError as error:
            orders.refuse(order.reporter, spec, str(error), seconds)
            continue
        except interruption.Interrupted:
            order.reporter.tell("trial-finished", spec.number, outcome="interrupted", seconds=seconds)
            raise
        order.reporter.tell("trial-finished", spec.number, outcome=outcome, seconds=seconds, **memory.peak())


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an error is a device's or the host's missing memory; the host's comes as a plain RuntimeError."""
    known = ("can't allocate memory", "bad_alloc", "could not create a memory", "could not create a primitive")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in known)


def _run_trial(order: orders.Order, spec: job.TrialSpec, seconds: dict[str, float]) -> str:
    """One trial to its outcome; the base is left as it was loaded."""
    memory.forget_peak()
    with orders.Clock(seconds, "load"):
        trial = _load(order, spec)
    trial.tell("loaded", seconds=seconds["load"])
    try:
        with orders.Clock(seconds, "train"):
            ended_early = _train(trial, seconds)
        if ended_early:
            return ended_early
        evaluation.evaluate(order, spec, trial.yardstick, trial.plan.total_steps, seconds)
    finally:
        _clean(trial.base, checkpointed=trial.settings.gradient_checkpointing)
    return "finished"


# --- load -------------------------------------------------------------------------------------------------------------


def _load(order: orders.Order, spec: job.TrialSpec) -> Trial:
    own = settings.lora_settings(spec.params, spec.seed)
    facts = dataset.inspect(order.job.dataset)
    accelerator = _accelerator(own.mixed_precision)
    device = accelerator.device
    base = order.kept.base(order.job.base, own.mixed_precision, device, order.cache)
    order.asked.check()
    examples = data.prepare(base, facts, own, order.cache, flip=order.job.dataset.flip)
    yardstick = evaluation.yardstick(order, spec, base, facts, device)
    noise_schedule = DDPMScheduler.from_config(base.pipeline.scheduler.config)
    noise_schedule.alphas_cumprod = noise_schedule.alphas_cumprod.to(device)
    return Trial(
        order=order,
        spec=spec,
        settings=own,
        plan=steps.plan(examples.batches_per_epoch(own.train_batch_size), own),
        accelerator=accelerator,
        base=base,
        dtype=base.unet.dtype,  # walks through all modules: once, not in each step
        noise_schedule=noise_schedule,
        yardstick=yardstick,
        facts=facts,
        examples=examples,
    )


def _accelerator(mixed_precision: str) -> accelerate.Accelerator:
    """A fresh accelerator: its state is the process's, so a warm process must forget the last trial's precision."""
    accelerate.state.AcceleratorState._reset_state()
    try:
        return accelerate.Accelerator(mixed_precision=mixed_precision)
    except ValueError as error:
        raise errors.JobError(f"mixed_precision: {mixed_precision!r} cannot be used here: {error}") from error


# --- train ------------------------------------------------------------------------------------------------------------


def _train(trial: Trial, seconds: dict[str, float]) -> str | None:
    """Train and save the LoRA; returns the trial's outcome where it ended early, else None.

    Args:
        seconds: by phase; what evaluation points take is moved from training to theirs.
    """
    own, plan, accelerator, base = trial.settings, trial.plan, trial.accelerator, trial.base
    started, clock = time.time(), time.monotonic()

    # adapt
    unet_weights, text_weights = _adapt(base, own)
    optimizer = optim.optimizer(own, unet_weights, text_weights)
    schedule = optim.schedule(own, plan, optimizer)
    optimizer = accelerator.prepare_optimizer(optimizer)
    captions = _Captions(trial)
    watch = health.Health(trial.order.job.thresholds, loss_scaling=own.mixed_precision == "fp16")
    fingerprint = cache.key(settings=dataclasses.asdict(own), base=base.sha256, dataset=trial.facts.hash)
    weights = [*unet_weights, *text_weights]
    state = checkpoints.TrialState(fingerprint, weights, optimizer, schedule, accelerator.scaler, watch)

    # resume
    done = _resume(trial, state)
    trial.tell(
        "train-started",
        total_steps=plan.total_steps,
        epochs=plan.epochs,
        images=trial.facts.images,
        effective_batch=plan.effective_batch,
        steps_per_epoch=plan.steps_per_epoch,
        warmup_steps=plan.warmup_steps,
    )

    # the loop
    every = trial.order.job.report_every_steps
    look_every = _look_every(trial.device, every)
    pending: list[tuple[int, torch.Tensor, torch.Tensor]] = []
    for step, batches in _steps(trial, done):
        _glance(trial, state, step - 1, seconds)
        losses = []
        for batch in batches:
            loss = _loss(trial, captions, batch)
            accelerator.backward(loss / len(batches))
            losses.append(loss.detach())
        norm = _clip(accelerator, weights, own.max_grad_norm)
        optimizer.step()
        if not accelerator.optimizer_step_was_skipped:
            schedule.step()
        optimizer.zero_grad()
        pending.append((step, torch.stack(losses).mean(), norm))
        last = step == plan.total_steps

        # look at the signals
        if step % look_every == 0 or last or _point(trial, step) or trial.order.asked.requested:
            for (seen, *_), (loss_now, norm_now) in zip(pending, _read(pending), strict=True):
                finding = watch.observe(seen, loss_now, norm_now)
                if finding:
                    return _fail(trial, finding)
            pending.clear()
            if step % every == 0 or last or step == 1:
                _tell_step(trial, state, step, loss_now, norm_now, (time.monotonic() - clock) / 60)

        # asked to stop, by a rule or by a signal; and in between, keep what there is
        if (step % every == 0 or _point(trial, step)) and trial.paths.stop.exists():
            return _stopped(trial, step)
        if trial.order.asked.requested or (_due(trial, step) and not last):
            _keep(trial, state, step)
        trial.order.asked.check()

    # save
    finding = _judge_weights(trial, weights)
    if finding:
        return _fail(trial, finding)
    drawing = seconds["sample"] + seconds["score"]
    trial.tell("trained", steps=plan.total_steps, seconds=time.monotonic() - clock - drawing)
    _keep(trial, state, plan.total_steps)
    _save(trial, started)
    trial.order.asked.check()
    return None


def _resume(trial: Trial, state: checkpoints.TrialState) -> int:
    """Go back to the trial's checkpoint, if it has one that can be used; returns the steps already done."""
    restored = state.restore(trial.paths.checkpoint, trial.device)
    if restored.set_aside is not None:
        trial.tell("checkpoint-set-aside", path=str(restored.set_aside), message=restored.why)
    if restored.step:
        trial.tell("resumed", step=restored.step)
    return restored.step


def _adapt(base: models.Base, own: settings.LoraSettings) -> tuple[list[Any], list[Any]]:
    """Put a LoRA into the UNet and, where they are trained, into the text encoders; returns their weights."""
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
    return adapters.weights(base.unet), [weight for each in base.text_encoders for weight in adapters.weights(each)]


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Rows (B,) of a shelf; `number` counts batches over the whole run and seeds everything random about it."""

    number: int
    shelf: data.Shelf
    rows: torch.Tensor


def _steps(trial: Trial, done: int) -> Iterator[tuple[int, list[_Batch]]]:
    """Steps from `done` + 1 to the last, each with the batches that it averages over."""
    own, plan = trial.settings, trial.plan
    epoch, batches = -1, []
    for step in range(done, plan.total_steps):
        if step // plan.steps_per_epoch != epoch:
            epoch = step // plan.steps_per_epoch
            order = trial.examples.epoch(own.train_batch_size, own.seed, epoch)
            before = epoch * plan.batches_per_epoch
            batches = [
                _Batch(before + number, trial.examples.shelves[shelf], rows)
                for number, (shelf, rows) in enumerate(order)
            ]
        first = step % plan.steps_per_epoch * own.gradient_accumulation_steps
        yield step + 1, batches[first : first + own.gradient_accumulation_steps]


class _Captions:
    """Conditioning of the captions by their numbers: encoded once, or anew each time while their encoder learns."""

    def __init__(self, trial: Trial) -> None:
        self._base = trial.base
        self._tokens: tuple[torch.Tensor, ...] | None = None
        self._encoded: text.Conditioning | None = None
        captions = trial.examples.captions
        if trial.settings.text_encoder_lr > 0:
            self._tokens = tuple(ids.to(trial.device) for ids in text.tokenize(trial.base, captions))
        else:
            self._encoded = data.encode_captions(trial.base, captions, trial.order.cache)

    def __call__(self, numbers: torch.Tensor) -> text.Conditioning:
        """The conditioning of captions (B,): hidden (B, T, channels)."""
        if self._tokens is not None:
            return text.encode(self._base, [ids[numbers] for ids in self._tokens])
        assert self._encoded is not None  # one of the two is set above
        return self._encoded.rows(numbers)


def _loss(trial: Trial, captions: _Captions, batch: _Batch) -> torch.Tensor:
    """The loss of a batch: a scalar in float32."""
    own, device, noise_schedule = trial.settings, trial.device, trial.noise_schedule
    shelf, rows = batch.shelf, batch.rows
    draws = diffusion.draw(
        randomness.seed_for(own.seed, "batch", batch.number),
        (len(rows), *shelf.mean.shape[2:]),
        flips=trial.examples.flips,
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
    with trial.accelerator.autocast():
        empty = len(trial.examples.captions) - 1
        conditioning = captions(shelf.captions[rows].masked_fill(draws.dropped, empty))
        extra = None
        if conditioning.pooled is not None:
            extra = {"text_embeds": conditioning.pooled, "time_ids": shelf.time_ids[rows]}
        prediction = trial.base.unet(
            noisy.to(trial.dtype),
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


def _clip(accelerator: accelerate.Accelerator, weights: list[torch.nn.Parameter], limit: float) -> torch.Tensor:
    """Clip the gradients' norm to `limit`, 0 for not at all; returns the norm before."""
    if limit > 0:
        return torch.as_tensor(accelerator.clip_grad_norm_(weights, limit))
    accelerator.unscale_gradients()
    return torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])


def _look_every(device: torch.device, reported_every: int) -> int:
    """Steps from one look at the signals to the next: a look costs nothing on the CPU and stalls a GPU."""
    return 1 if device.type == "cpu" else min(reported_every, _LONGEST_BLINDNESS_STEPS)


def _read(pending: list[tuple[int, torch.Tensor, torch.Tensor]]) -> list[list[float]]:
    """Losses and gradient norms of the pending steps, in one transfer from the device."""
    pairs: list[list[float]] = torch.stack([torch.stack([loss, norm.float()]) for _, loss, norm in pending]).tolist()
    return pairs


def _point(trial: Trial, step: int) -> evaluation.Point | None:
    """The evaluation point that a step has passed, or None."""
    during, batch = trial.order.job.evaluation.during, trial.plan.effective_batch
    passed = None if during is None else points.due(step, batch, during.every_samples)
    return None if passed is None else evaluation.Point(step, step * batch, passed)


def _glance(trial: Trial, state: checkpoints.TrialState, done: int, seconds: dict[str, float]) -> None:
    """Draw and score a few pictures where the steps done have passed a point.

    Called before the next step, not after the last one: a run that is resumed at a point looks again and misses none.
    """
    point = _point(trial, done)
    if point is None:
        return
    try:
        evaluation.glance(trial.order, trial.spec, trial.yardstick, point, seconds)
    except interruption.Interrupted:
        _keep(trial, state, done)
        raise


def _keep(trial: Trial, state: checkpoints.TrialState, step: int) -> None:
    state.save(trial.paths.checkpoint, step)
    trial.tell("checkpoint", step=step)


def _due(trial: Trial, step: int) -> bool:
    every = trial.order.job.checkpoint_every_steps
    return every > 0 and step % every == 0


# --- endings ----------------------------------------------------------------------------------------------------------


def _judge_weights(trial: Trial, weights: list[torch.nn.Parameter]) -> health.Finding | None:
    """Whether the trained weights can be used at all."""
    step = trial.plan.total_steps
    broken = sum(not bool(torch.isfinite(weight).all()) for weight in weights)
    if broken:
        message = f"{broken} of {len(weights)} LoRA tensors hold NaN or infinite values"
        return health.Finding("nonfinite-weights", step, message, {"tensors": broken})
    norms = [adapters.update_norm(model) for model in (trial.base.unet, *trial.base.text_encoders)]
    norm = sum(each**2 for each in norms) ** 0.5
    if norm < trial.order.job.thresholds.update_norm:
        message = f"the norm of all updates is {norm:.3g} after {step} steps: nothing was learned"
        return health.Finding("no-learning", step, message, {"update_norm": norm})
    return None


def _fail(trial: Trial, finding: health.Finding) -> str:
    trial.tell("failed", **dataclasses.asdict(finding), fatal=True)
    return "failed"


def _stopped(trial: Trial, step: int) -> str:
    trial.tell("stopped", rule=job.stop_rule(trial.paths.stop), step=step)
    return "stopped"


def _tell_step(
    trial: Trial, state: checkpoints.TrialState, step: int, loss: float, norm: float, minutes: float
) -> None:
    estimate = float(state.optimizer.param_groups[0].get("d", 1.0))  # Prodigy's own estimate of the step size
    trial.tell(
        "step",
        step=step,
        epoch=-(-step // trial.plan.steps_per_epoch),
        progress=step / trial.plan.total_steps,
        loss=loss,
        loss_ema=state.health.loss_ema,
        grad_norm=norm,
        grad_norm_median=state.health.grad_norm_median,
        learning_rate_now=state.schedule.get_last_lr()[0] * estimate,
        elapsed_minutes=minutes,
        **memory.peak(),
    )


def _save(trial: Trial, started: float) -> None:
    metadata = lora_metadata.describe(
        trial.order.job,
        trial.spec,
        trial.settings,
        trial.plan,
        trial.facts,
        family=trial.base.family,
        base_sha256=trial.base.sha256,
        resolution=trial.settings.resolution or trial.base.resolution,
        started=started,
        finished=time.time(),
    )
    layout = lora_files.diffusers if trial.settings.save_format == "diffusers" else lora_files.kohya
    named = layout(trial.base, trial.settings.save_precision)
    sha256 = lora_files.save(trial.paths.lora, named, metadata)
    trial.tell("saved", path=str(trial.paths.lora), sha256=sha256)
    for model in (trial.base.unet, *trial.base.text_encoders):
        model.eval()


def _clean(base: models.Base, *, checkpointed: bool) -> None:
    """Leave the base as it was loaded."""
    for model in (base.unet, *base.text_encoders):
        adapters.detach(model)
        model.eval()
        if checkpointed:
            adapters.set_gradient_checkpointing(model, on=False)
