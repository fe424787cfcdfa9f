"""What training a LoRA of a diffusion model can be told, whoever trains it. Torch-free.

Names follow kohya's sd-scripts, so that a person's own settings carry over.
"""

from collections.abc import Mapping

from trainers.terms import parameters
from trainers.terms.parameters import Parameter

OPTIMIZERS = (
    "AdamW",
    "AdamW8bit",
    "PagedAdamW8bit",
    "Lion",
    "Lion8bit",
    "SGDNesterov",
    "AdaFactor",
    "Prodigy",
    "AdamW8bit-no-sync",
    "Prodigy-no-sync",
)
#: optimizers whose own step, in the same mathematics, never waits for the device, and whose steps they take
NO_SYNC: Mapping[str, str] = {"AdamW8bit-no-sync": "AdamW8bit", "Prodigy-no-sync": "Prodigy"}
SCHEDULERS = (
    "constant",
    "constant_with_warmup",
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
)
_EIGHT_BIT = 'optimizer_type in ["AdamW8bit", "PagedAdamW8bit", "Lion8bit", "AdamW8bit-no-sync"]'
_PRODIGY = 'optimizer_type in ["Prodigy", "Prodigy-no-sync"]'

TABLE = parameters.table(
    # learning rates
    Parameter("learning_rate", "float", "Peak learning rate of the UNet's LoRA; 0 leaves the UNet alone. By default "
              "1.0 for Prodigy, which multiplies it with its own estimate, else 1e-4.", low=0, high=1000),
    Parameter("text_encoder_lr", "float", "Peak learning rate of the text encoders' LoRA. They are trained only when "
              "this or text_encoder_lr_ratio is above 0. Prodigy knows one rate: any value above 0 means "
              "learning_rate.", low=0, high=1000),
    Parameter("text_encoder_lr_ratio", "float", "text_encoder_lr as a share of learning_rate.", low=0, high=1000,
              share_of="learning_rate"),
    # the network
    Parameter("network_dim", "int", "Rank of the LoRA matrices.", low=1, high=1024, default=16),
    Parameter("network_alpha", "float", "The update is scaled by alpha / dim. By default network_dim times "
              "network_alpha_ratio.", low=0, low_excluded=True, high=1e6),
    Parameter("network_alpha_ratio", "float", "network_alpha as a share of network_dim; 1.0 when neither is given.",
              low=0, low_excluded=True, high=1e4, share_of="network_dim"),
    Parameter("network_dropout", "float", "Share of the rank activations that is dropped while training (after "
              "lora_down, as sd-scripts does).", low=0, high=0.99, default=0.0),
    # how long
    Parameter("max_train_epochs", "int", "Passes over the data set. Give one of max_train_epochs, max_train_steps, "
              "max_train_samples; 10 epochs when none is given.", unit="epochs", low=1, high=1_000_000),
    Parameter("max_train_steps", "int", "Optimizer steps.", unit="optimizer steps", low=1, high=10**9),
    Parameter("max_train_samples", "int", "Budget in samples seen, the same for every batch size.", unit="samples",
              low=1, high=10**12),
    Parameter("train_batch_size", "int", "Images in one forward pass.", unit="images", low=1, high=65_536, default=1),
    Parameter("gradient_accumulation_steps", "int", "Forward passes an optimizer step averages over.",
              unit="batches", low=1, high=65_536, default=1),
    # the optimizer
    Parameter("optimizer_type", "text", "The optimizer: torch's AdamW and SGD, transformers' AdaFactor, prodigyopt's "
              "Prodigy; the others are bitsandbytes'. 8-bit ones keep their state in 8 bits. Those ending in -no-sync "
              "take the same steps without waiting for the GPU within one; what that gains is not measured yet.",
              choices=OPTIMIZERS, default="AdamW"),
    Parameter("weight_decay", "float", "Decoupled weight decay.", low=0, high=1000, default=0.01),
    Parameter("min_8bit_size", "int", "Tensors with fewer elements keep 32-bit state; at 4096 an 8-bit optimizer is "
              "an ordinary one for small networks.", unit="elements", low=1, high=10**12, default=4096,
              when=_EIGHT_BIT),
    Parameter("d_coef", "float", "Factor on Prodigy's estimate of the step size.", low=0, low_excluded=True, high=1e6,
              default=1.0, when=_PRODIGY),
    Parameter("d0", "float", "Prodigy's first estimate of the step size; too small a value costs the first steps.",
              low=0, low_excluded=True, high=1000, default=1e-6, when=_PRODIGY),
    Parameter("max_grad_norm", "float", "Gradients are clipped to this norm; 0 turns clipping off.", low=0, high=1e9,
              default=1.0),
    # the schedule
    Parameter("lr_scheduler", "text", "How the learning rate goes on from its peak. polynomial ends at 1e-7; rates of "
              "their own for the text encoders fall by the same factor.", choices=SCHEDULERS, default="constant"),
    Parameter("lr_warmup_steps", "int", "Steps in which the learning rate climbs to its peak.",
              unit="optimizer steps", low=0, high=10**9, when='lr_scheduler != "constant"'),
    Parameter("lr_warmup_ratio", "float", "lr_warmup_steps as a share of all steps.", low=0, high=1,
              when='lr_scheduler != "constant"'),
    Parameter("lr_scheduler_num_cycles", "int", "Restarts of the cosine.", unit="cycles", low=1, high=10**6, default=1,
              when='lr_scheduler == "cosine_with_restarts"'),
    Parameter("lr_scheduler_power", "float", "Power of the polynomial decay.", low=0, low_excluded=True, high=1000,
              default=1.0, when='lr_scheduler == "polynomial"'),
    # the loss
    Parameter("min_snr_gamma", "float", "Weighs each timestep's loss by min(SNR, gamma) (Hang et al. 2023); 0 weighs "
              "all alike.", low=0, high=1e6, default=0.0),
    Parameter("noise_offset", "float", "Adds this much of a constant colour shift to the noise; 0 adds none.", low=0,
              high=1, default=0.0),
    Parameter("caption_dropout", "float", "Share of captions that are left empty while training.", low=0, high=1,
              default=0.0),
    # the pictures
    Parameter("resolution", "int", "Side of the square whose area training images are brought to. By default the "
              "base model's own.", unit="pixels", low=8, high=8192),
    Parameter("enable_bucket", "truth", "Keep aspect ratios, in buckets; otherwise images are cropped to the square.",
              default=False),
    Parameter("bucket_reso_steps", "int", "Sides of buckets are multiples of this.", unit="pixels", low=8, high=8192,
              default=64, when="enable_bucket"),
    # the machine
    Parameter("mixed_precision", "text", "Precision of the frozen base and of the passes through it; the LoRA stays "
              "in float32.", choices=("no", "fp16", "bf16"), default="no"),
    Parameter("gradient_checkpointing", "truth", "Compute activations twice to save memory.", default=False),
    Parameter("save_precision", "text", "Precision of the saved LoRA.", choices=("float", "fp16", "bf16"),
              default="float"),
    Parameter("save_format", "text", "Key layout of the saved LoRA: kohya's loads everywhere, diffusers' in diffusers.",
              choices=("kohya", "diffusers"), default="kohya"),
    Parameter("seed", "int", "Seed of the training's own randomness; by default the trial's.", low=0,
              high=2**63 - 1),
)  # fmt: skip


def steps_of(optimizer_type: str) -> str:
    """The optimizer, by the name that other trainers know, whose steps one takes."""
    return NO_SYNC.get(optimizer_type, optimizer_type)
