"""The names that rules may use beside a study's own: facts before a trial, signals while it runs."""

from __future__ import annotations

#: known before a trial starts; those that the study cannot tell are missing, and a rule that needs them fails safe
FACTS = {
    "gpu.count": "GPUs of the machine that will train",
    "gpu.vram_gb": "memory of the smallest of them, in GiB",
    "dataset.images": "images in the dataset, each counted once",
    "dataset.steps_per_epoch": "optimizer steps in one epoch, repeats and buckets included",
    "total_steps": "optimizer steps of the whole trial",
    "effective_batch": "train_batch_size times gradient_accumulation_steps",
    "warmup_share": "warmup steps as a share of total_steps",
    "estimate.vram_gb": "estimated peak memory of the trial, in GiB",
    "estimate.minutes": "estimated duration of the trial, in minutes",
}

#: known while a trial runs, each from the moment it is first reported; a trainer may tell others of its own
SIGNALS = {
    "step": "optimizer steps so far",
    "epoch": "epochs so far",
    "progress": "share of the trial that is done, 0 to 1",
    "loss": "loss of the latest step",
    "loss_ema": "exponential moving average of the loss",
    "grad_norm": "norm of the latest gradient, before clipping",
    "grad_norm_median": "running median of the gradient norm",
    "learning_rate_now": "learning rate of the latest step",
    "elapsed_minutes": "minutes since the trial started",
    "vram_gb": "peak memory so far, in GiB",
}
