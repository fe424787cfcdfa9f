"""Speed of the diffusion LoRA trainer against the plain loop that diffusers' example script stands for.

Run from the checkout: `python -m benchmarks.trainer` (demo base), `--size sd15` or `--size sdxl` (random weights of the
full-size shapes, meant for a GPU). Both loops train the same LoRA on the same images with the same batch and
precision; the plain one encodes images and captions in each step, uses peft's layers as they are and reads the loss
in each step. Rounds alternate between the two, so that a noisy machine slows both alike; the median is reported.
"""

import argparse
import json
import pathlib
import resource
import statistics
import tempfile
import time
import warnings
from typing import Any

import accelerate
import diffusers
import peft
import torch
import transformers
from PIL import Image

from trainers import (
    adapters,
    architecture,
    data,
    dataset,
    events,
    health,
    interruption,
    job,
    kept,
    models,
    optim,
    orders,
    settings,
    text,
)
from trainers.recipes import diffusion_lora
from trainers.scoring import clip

DATASET = architecture.DEMO.parent / "quickstart" / "dataset"
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


def main() -> None:
    """Measure, print a table and, with --json, everything as one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["demo", *SIZES], default="demo")
    parser.add_argument("--steps", type=int, default=40, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=None, help="images in a batch (4 for the demo, else 1)")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--resolution", type=int, default=None)
    parser.add_argument("--precision", choices=["no", "bf16"], default=None)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.batch = given.batch or (4 if given.size == "demo" else 1)
    given.precision = given.precision or ("no" if given.size == "demo" else "bf16")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(given, pathlib.Path(folder))
    if given.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:42} {value:.4g}" if isinstance(value, float) else f"{name:42} {value}")


def measure(given: argparse.Namespace, folder: pathlib.Path) -> dict[str, Any]:
    """All figures of one size."""
    device = accelerate.state.PartialState().device
    held = kept.Kept()
    began = time.perf_counter()
    if given.size == "demo":
        base = held.base("demo", given.precision, device, folder)
    else:
        base = random_base(given.size, given.precision, device)
        held = kept.Kept(_base=base, _base_key=(given.size, given.precision))
    load_seconds = time.perf_counter() - began
    train_job = write_job(given, folder)
    asked = interruption.Interruption()
    held.judge(job.ClipModel(), device, folder)
    ours, plain = [], []
    run_ours(train_job, held, asked, folder / "warm-up")
    run_plain(train_job, base, 3)
    for number in range(given.rounds):
        ours.append(run_ours(train_job, held, asked, folder / str(number)) / given.steps)
        plain.append(run_plain(train_job, base, given.steps) / given.steps)
    split, syncs = time_split(train_job, held, asked, folder / "split")
    samples = given.batch
    return {
        "size": given.size,
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "precision": given.precision,
        "batch": given.batch,
        "load seconds": load_seconds,
        "ours, seconds a step": statistics.median(ours),
        "plain loop, seconds a step": statistics.median(plain),
        "ours, samples a second": samples / statistics.median(ours),
        "plain loop, samples a second": samples / statistics.median(plain),
        "times the plain loop's speed": statistics.median(
            slow / quick for slow, quick in zip(plain, ours, strict=True)
        ),
        **{f"share of a step: {name}": share for name, share in split.items()},
        "host syncs a step": syncs,
        "peak memory, GiB": peak_memory(device),
        "scoring 16 pictures, seconds": scoring_seconds(held, device, folder),
    }


def write_job(given: argparse.Namespace, folder: pathlib.Path) -> job.TrainJob:
    """A job of the given size; its pictures are few, since only training is measured."""
    params: dict[str, Any] = {
        "learning_rate": 1e-4,
        "network_dim": given.dim,
        "max_train_steps": given.steps,
        "train_batch_size": given.batch,
        "mixed_precision": given.precision,
    }
    if given.resolution:
        params["resolution"] = given.resolution
    return job.TrainJob(
        trainer="diffusion-lora",
        study="benchmark",
        base=given.size,
        dataset=job.Dataset(path=str(DATASET)),
        evaluation=job.Evaluation(prompts=("a zorbit monster on a blue background",), seeds=(1,), steps=1),
        trials=(job.TrialSpec(number=0, params=params, seed=1, directory=str(folder)),),
        directory=str(folder),
        cache=str(folder / "cache"),
        checkpoint_every_steps=0,
    )


def run_ours(train_job: job.TrainJob, held: kept.Kept, asked: interruption.Interruption, folder: pathlib.Path) -> float:
    """Seconds of the training phase, as the trainer itself tells them: set-up of the LoRA and optimizer included."""
    spec = train_job.trials[0].model_copy(update={"directory": str(folder)})
    reporter = events.Reporter(folder / "events.jsonl")
    order = orders.Order(train_job.model_copy(update={"trials": (spec,)}), reporter, asked, held)
    diffusion_lora.run(order)
    told, _ = events.read(folder / "events.jsonl")
    (trained,) = [event.data for event in told if event.event == "trained"]
    return float(trained["seconds"])


def run_plain(train_job: job.TrainJob, base: models.Base, steps: int) -> float:
    """Seconds of the plain loop, set-up of the LoRA and optimizer included."""
    own = settings.lora_settings(train_job.trials[0].params, 1)
    accelerate.state.AcceleratorState._reset_state()
    accelerator = accelerate.Accelerator(mixed_precision=own.mixed_precision)
    pictures = dataset.inspect(train_job.dataset).pictures
    side = own.resolution or base.resolution
    pixels = torch.stack([data._pixels(picture, (side, side), False) for picture in pictures])
    schedule = diffusers.DDPMScheduler.from_config(base.pipeline.scheduler.config)
    began = time.perf_counter()
    config = peft.LoraConfig(r=own.network_dim, lora_alpha=own.network_dim, target_modules=list(adapters.UNET_TARGETS))
    base.unet.add_adapter(config)
    weights = [weight.float() for weight in adapters.weights(base.unet)]
    for weight, exact in zip(adapters.weights(base.unet), weights, strict=True):
        weight.data = exact.data
    weights = adapters.weights(base.unet)
    base.unet.train()
    optimizer = accelerator.prepare(torch.optim.AdamW(weights, lr=own.learning_rate))
    for step in range(steps):
        rows = [(step * own.train_batch_size + row) % len(pictures) for row in range(own.train_batch_size)]
        with torch.no_grad():
            encoded = base.vae.encode(pixels[rows].to(base.vae.device, base.vae.dtype))
            latents = encoded.latent_dist.sample() if hasattr(encoded, "latent_dist") else encoded.latents
            latents = latents * base.vae.config.scaling_factor
            tokens = [ids.to(latents.device) for ids in text.tokenize(base, [pictures[row].caption for row in rows])]
            conditioning = text.encode(base, tokens)
        noise = torch.randn_like(latents)
        times = torch.randint(0, 1000, (len(rows),), device=latents.device)
        extra = None
        if conditioning.pooled is not None:
            ids = torch.tensor([[side, side, 0, 0, side, side]] * len(rows), device=latents.device)
            extra = {"text_embeds": conditioning.pooled, "time_ids": ids}
        with accelerator.autocast():
            noisy = schedule.add_noise(latents, noise, times).to(base.unet.dtype)
            prediction = base.unet(noisy, times, conditioning.hidden, added_cond_kwargs=extra).sample
            target = noise
            if schedule.config.prediction_type == "v_prediction":
                target = schedule.get_velocity(latents, noise, times)
        loss = torch.nn.functional.mse_loss(prediction.float(), target.float())
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.detach().item()
    seconds = time.perf_counter() - began
    adapters.detach(base.unet)
    base.unet.eval()
    return seconds


def time_split(
    train_job: job.TrainJob, held: kept.Kept, asked: interruption.Interruption, folder: pathlib.Path
) -> tuple[dict[str, float], float | None]:
    """Shares of a step by part, each part waited for, and the host syncs a step makes outside of reports (GPU only)."""
    folder.mkdir()
    spec = train_job.trials[0].model_copy(update={"directory": str(folder)})
    order = orders.Order(train_job, events.Reporter(folder / "events.jsonl"), asked, held)
    trial = diffusion_lora._load(order, spec)
    own, base = trial.settings, trial.base
    weights, text_weights = diffusion_lora._adapt(base, own)
    optimizer = trial.accelerator.prepare_optimizer(optim.optimizer(own, weights, text_weights))
    captions = diffusion_lora._Captions(trial)
    watch = health.Health(train_job.thresholds)
    cuda = trial.device.type == "cuda"
    seconds = dict.fromkeys(("data and forward", "backward", "clip and optimizer", "signals"), 0.0)

    def part(name: str, began: float) -> float:
        if cuda:
            torch.cuda.synchronize()
        seconds[name] += time.perf_counter() - began
        return time.perf_counter()

    for step, batches in diffusion_lora._steps(trial, 0):
        now = time.perf_counter()
        loss = diffusion_lora._loss(trial, captions, batches[0])
        now = part("data and forward", now)
        trial.accelerator.backward(loss)
        now = part("backward", now)
        norm = diffusion_lora._clip(trial.accelerator, weights, own.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        now = part("clip and optimizer", now)
        watch.observe(step, loss.item(), norm.item())
        part("signals", now)
    syncs = _count_syncs(trial, captions, weights, optimizer) if cuda else None
    diffusion_lora._clean(base, checkpointed=False)
    whole = sum(seconds.values())
    return {name: value / whole for name, value in seconds.items()}, syncs


def _count_syncs(trial: Any, captions: Any, weights: Any, optimizer: Any) -> float:
    """torch warns at every synchronising call while this mode is on."""
    steps = 0
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _, batches in diffusion_lora._steps(trial, 0):
            trial.accelerator.backward(diffusion_lora._loss(trial, captions, batches[0]))
            diffusion_lora._clip(trial.accelerator, weights, trial.settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            steps += 1
    torch.cuda.set_sync_debug_mode("default")
    return len([each for each in caught if "synchroniz" in str(each.message)]) / steps


def peak_memory(device: torch.device) -> float:
    """Peak memory in GiB: the device's, or the process's on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def scoring_seconds(held: kept.Kept, device: torch.device, folder: pathlib.Path) -> float:
    """Seconds the judge takes for 16 pictures and their prompts."""
    judge: clip.Judge = held.judge(job.ClipModel(), device, folder)
    pictures = [Image.open(path).convert("RGB") for path in sorted(DATASET.glob("*.png"))[:16]]
    began = time.perf_counter()
    judge.images(pictures)
    judge.texts(["a zorbit monster"] * 16)
    return time.perf_counter() - began


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
    family: models.Family = "sd15" if second is None else "sdxl"
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


if __name__ == "__main__":
    main()
