"""What training a LoRA takes, before any has been trained: peak memory of the device, and seconds. Torch-free.

A prior, to be corrected by measurements (`optimizer.forecast.estimates`). Memory is counted: weights, LoRA with its
gradients and optimizer state, and what the backward pass needs of the forward one. The bytes that a block keeps for it
were counted with torch's saved-tensor hooks over fake tensors, with this trainer's own LoRA layer, for SD 1.5, SDXL and
five other UNets; the sums below meet those counts within 1 %, with gradient checkpointing within 9 %.

Checked against SimpleTuner's published H100 figures (its SEGMENTED_CHECKPOINTING.md), for UNet and LoRA alone as there:
SD 1.5, 512 pixels, bf16 2.87 GiB, checkpointed 1.98; SDXL, 1024 pixels, 13.0 and 6.5. A test keeps this within 10 %.
Seconds on a GPU rest on its 0.181 and 0.606 s a step: launching kernels bounds small batches (an L40S is as fast), then
arithmetic does. All else about seconds is a guess that one finished trial is better than.

Everything is written for columns: a parameter is one value, or an array of shape (points,) with NaN or None where it is
not set; results have the same form.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainers.contract import milestones
from trainers.files import portions
from trainers.lora import architecture, sections
from trainers.terms import columns
from trainers.terms.columns import ArrayLike

GIB = 2**30

#: bytes kept for the backward pass, a latent position: (a channel into a residual block, a channel of a transformer's
#: projections, a channel of each of its blocks)
_KEPT_HALF = np.array([13.35, 18.25, 70.47])
_KEPT_FULL = np.array([14.61, 19.11, 121.18])
#: ... and where each block is computed again instead
_BORDERS_HALF = np.array([2.65, 14.15, 1.75])
_BORDERS_FULL = np.array([5.15, 14.62, 4.09])
#: values alive at a time in a pass without gradients, a position and channel of the widest transformer
_PASS_VALUES = 20
#: tensors of float32 that the VAE holds at full resolution while it encodes and decodes, counted the same way
_VAE_ENCODES, _VAE_DECODES = 5, 3
#: what the caching allocator reserves for each byte that is used, a usual loss to fragments
_RESERVED = 1.05

#: bytes of optimizer state for each trained number; 8-bit states apart from their scales (bitsandbytes keeps tensors
#: below min_8bit_size in 32 bits, which are few)
_STATE_BYTES: Mapping[str, float] = {
    "AdamW": 8,
    "AdamW8bit": 2,
    "PagedAdamW8bit": 2,
    "Lion": 4,
    "Lion8bit": 1,
    "SGDNesterov": 4,
    "AdaFactor": 0.1,
    "Prodigy": 16,
    "AdamW8bit-no-sync": 2,
    "Prodigy-no-sync": 16,
}

#: seconds of launching on a GPU for each transformer block and residual block, forward and backward: the two published
#: steps solved for two unknowns; with checkpointing they take 1.7 times as long (0.305 and 1.080 s)
_LAUNCH_SECONDS = {"transformer": 8.1e-3, "residual": 2.4e-3}
_CHECKPOINT_LAUNCHES = 1.7
#: the same for each block on a CPU, where arithmetic comes on top (the demo base's steps on two shared cores)
_CPU_BLOCK_SECONDS = 6e-3
#: share of it that a pass without gradients takes
_PASS_LAUNCHES = 0.3
#: operations a second that training gets out of a device
_GPU_HALF, _GPU_FULL, _CPU = 1.0e14, 3.0e13, 1.0e11
#: backward and forward together cost that many forward passes when only a LoRA's weights need gradients
_TRAIN_PASSES, _CHECKPOINT_PASSES = 2.2, 3.2
#: seconds of launching, loading and scoring
_OTHER_SECONDS = 10.0

#: numbers in open_clip's and timm's models; any other counts as the largest commonly used
_SCORERS: Mapping[str, int] = {
    "ViT-B-32": 151_300_000,
    "ViT-B-16": 149_600_000,
    "ViT-L-14": 427_600_000,
    "ViT-L-14-336": 427_900_000,
    "ViT-H-14": 986_100_000,
    "ViT-g-14": 1_366_700_000,
    "demo": 2_000_000,
    "vit_small_patch16_224.dino": 21_700_000,
    "vit_base_patch16_224.dino": 85_800_000,
    "vit_small_patch14_dinov2.lvd142m": 22_100_000,
}


@dataclasses.dataclass(frozen=True)
class Footprint:
    """What a trial of one base and evaluation takes.

    Attributes:
        scorer_parameters: numbers of the models that score pictures; they stay on the device in float32.
        pictures: pictures that are drawn after training, each in `drawing_steps` steps.
        every_samples: samples between two milestones, None without any; at each `milestone_pictures` are drawn in
            `milestone_steps` steps.
    """

    base: architecture.Architecture
    scorer_parameters: int
    pictures: int
    drawing_steps: int
    every_samples: int | None = None
    milestone_pictures: int = 0
    milestone_steps: int = 0

    def vram_gb(self, values: Mapping[str, ArrayLike]) -> ArrayLike:
        """Peak GiB that a trial takes on its device: training, or encoding and drawing pictures, whichever is more.

        The CUDA context of about half a GiB is not in it.
        """
        size = columns.number(values, "resolution", self.base.resolution) ** 2
        loaded = self._loaded(values)
        training = loaded + self.training_bytes(values)
        # at milestones pictures are drawn beside the LoRA in training, its gradients and its optimizer's state
        beside = 0.0 if self.every_samples is None else self._trained_bytes(values)
        side_work = np.maximum(self._encoding(size), self._drawing(values) + beside)
        return np.maximum(training, loaded + side_work) * _RESERVED / GIB

    def training_bytes(self, values: Mapping[str, ArrayLike]) -> ArrayLike:
        """Bytes of LoRA, gradients, optimizer state and activations."""
        half, checkpointed = _half(values), _checkpointed(values)
        dim, batch = columns.number(values, "network_dim", 16), columns.number(values, "train_batch_size", 1)
        activations = self._activations(values, half, checkpointed, dim, _trains_text(values))
        return self._trained_bytes(values) + batch * activations

    def step_seconds(self, values: Mapping[str, ArrayLike], *, on_gpu: bool) -> ArrayLike:
        """Seconds of one optimizer step."""
        checkpointed = _checkpointed(values)
        batch = columns.number(values, "train_batch_size", 1)
        batches = columns.number(values, "gradient_accumulation_steps", 1)
        positions = self._positions(values)
        text = _trains_text(values) * sum(2 * e.parameters * e.tokens for e in self.base.text_encoders)
        lora = 6 * positions * columns.number(values, "network_dim", 16) * self._lora_work
        forward = batch * (self._pass_operations(positions) + text)
        passes = np.where(checkpointed, _CHECKPOINT_PASSES, _TRAIN_PASSES)
        seconds = (forward * passes + batch * lora) / self._rate(values, on_gpu=on_gpu)
        launches = np.where(checkpointed, _CHECKPOINT_LAUNCHES, 1.0)
        if on_gpu:
            return batches * np.maximum(seconds, launches * self._launch_seconds)
        return batches * (seconds + launches * self._cpu_block_seconds)

    def other_seconds(self, values: Mapping[str, ArrayLike], total_steps: ArrayLike, *, on_gpu: bool) -> ArrayLike:
        """Seconds of everything but training: launching, loading, drawing, scoring; at milestones, too."""
        seconds = _OTHER_SECONDS + self._drawing_seconds(values, self.pictures, self.drawing_steps, on_gpu=on_gpu)
        if self.every_samples is None:
            return seconds
        batch = columns.number(values, "train_batch_size", 1) * columns.number(values, "gradient_accumulation_steps", 1)
        count = milestones.count(total_steps, batch, self.every_samples)
        return seconds + count * self._drawing_seconds(
            values, self.milestone_pictures, self.milestone_steps, on_gpu=on_gpu
        )

    def _drawing_seconds(
        self, values: Mapping[str, ArrayLike], pictures: int, steps: int, *, on_gpu: bool
    ) -> ArrayLike:
        positions = (self.base.resolution / self.base.pixels_per_latent) ** 2
        operations = 2 * pictures * steps * self._pass_operations(positions)
        drawing = operations / self._rate(values, on_gpu=on_gpu)
        passes = -(-pictures // portions.drawn(self.base.resolution)) * steps
        if on_gpu:
            return np.maximum(drawing, passes * self._launch_seconds * _PASS_LAUNCHES)
        return drawing + passes * self._cpu_block_seconds * _PASS_LAUNCHES

    # -- memory ----------------------------------------------------------------------------------------------------

    def _loaded(self, values: Mapping[str, ArrayLike]) -> ArrayLike:
        """Bytes of the models that stay on the device; VAE and scorer are kept in float32."""
        passed = self.base.unet_parameters + sum(encoder.parameters for encoder in self.base.text_encoders)
        return passed * np.where(_half(values), 2, 4) + 4.0 * (self.base.vae_parameters + self.scorer_parameters)

    def _trained_bytes(self, values: Mapping[str, ArrayLike]) -> ArrayLike:
        """Bytes of the LoRA's weights, their gradients and the optimizer's state."""
        rows = self._trains_unet(values) * self._unet_rows + _trains_text(values) * self._text_rows
        # weight and gradient in float32, the optimizer's state, and a copy in the precision of the pass
        return columns.number(values, "network_dim", 16) * rows * (8 + _state_bytes(values) + 2 * _half(values))

    def _activations(
        self, values: Mapping[str, ArrayLike], half: ArrayLike, checkpointed: ArrayLike, dim: ArrayLike, text: ArrayLike
    ) -> ArrayLike:
        """Bytes for each image of a batch."""
        positions = self._positions(values)
        kept, borders = self._kept(_KEPT_HALF, _KEPT_FULL, half), self._kept(_BORDERS_HALF, _BORDERS_FULL, half)
        narrow = dim * self._narrow_rows * np.where(half, 2, 4)
        again = np.where(half, self._largest_block(_KEPT_HALF), self._largest_block(_KEPT_FULL))
        whole = positions * np.where(checkpointed, borders + again, kept + narrow)
        return whole + text * np.where(half, _KEPT_HALF[2], _KEPT_FULL[2]) * sum(
            encoder.tokens * encoder.hidden * encoder.layers for encoder in self.base.text_encoders
        )

    def _kept(self, when_half: Any, when_full: Any, half: ArrayLike) -> ArrayLike:
        """Bytes that all blocks keep, a latent position of the input."""
        widths = np.array(
            [
                sum(block.channels_in / block.shrink for block in self.base.residuals),
                sum(block.channels / block.shrink for block in self.base.transformers),
                sum(block.channels * block.depth / block.shrink for block in self.base.transformers),
            ]
        )
        return np.where(half, widths @ when_half, widths @ when_full)

    def _largest_block(self, kept: Any) -> float:
        residual = max(block.channels_in / block.shrink for block in self.base.residuals)
        transformer = max((block.channels / block.shrink for block in self.base.transformers), default=0.0)
        return float(max(residual * kept[0], transformer * kept[2]))

    def _encoding(self, pixels: ArrayLike) -> ArrayLike:
        """Bytes while the VAE encodes training images, at most: a portion need not be full."""
        at_a_time = np.minimum(portions.MOST_ENCODED * pixels, np.maximum(portions.ENCODED_PIXELS, pixels))
        return at_a_time * 4 * _VAE_ENCODES * self.base.vae_channels[0]

    def _drawing(self, values: Mapping[str, ArrayLike]) -> ArrayLike:
        """Bytes while validation pictures are drawn (two passes each, for guidance) and decoded."""
        side = self.base.resolution
        positions = (side / self.base.pixels_per_latent) ** 2
        at_a_time = min(self.pictures, portions.drawn(side))
        first_half = self.base.residuals[: len(self.base.residuals) // 2]
        skips = sum(block.channels_out / block.shrink for block in first_half)
        widest = max((block.channels / block.shrink for block in self.base.transformers), default=0.0)
        passing = 2 * at_a_time * positions * (skips + _PASS_VALUES * widest) * np.where(_half(values), 2, 4)
        decoding = min(at_a_time, portions.decoded(side)) * side**2 * 4 * _VAE_DECODES * self.base.vae_channels[1]
        return np.maximum(passing, decoding)

    # -- the LoRA: see trainers.adapters.adapters for what it is put on
    # -------------------------------------------------------

    @property
    def _unet_rows(self) -> int:
        """Trained numbers of the UNet's LoRA for each of its dimensions: inputs and outputs of every layer."""
        return sum(
            (28 * block.channels + 2 * self.base.context) * block.depth + 4 * block.channels
            for block in self.base.transformers
        )

    @property
    def _text_rows(self) -> int:
        return sum(
            encoder.layers * (8 * encoder.hidden + 2 * (encoder.hidden + encoder.intermediate))
            for encoder in self.base.text_encoders
        )

    @property
    def _narrow_rows(self) -> float:
        """LoRA layers, weighted by the share of latent positions they see."""
        return sum((10 * block.depth + 2) / block.shrink for block in self.base.transformers)

    @property
    def _lora_work(self) -> float:
        """Inputs and outputs of the LoRA's layers, weighted by the share of latent positions they see."""
        return sum((28 * block.depth + 4) * block.channels / block.shrink for block in self.base.transformers)

    # -- time ------------------------------------------------------------------------------------------------------

    def _positions(self, values: Mapping[str, ArrayLike]) -> ArrayLike:
        return (columns.number(values, "resolution", self.base.resolution) / self.base.pixels_per_latent) ** 2

    def _pass_operations(self, positions: ArrayLike) -> ArrayLike:
        """Operations of a forward pass of the UNet over one image: convolutions, linear layers, attention."""
        residual = sum(
            9 * (block.channels_in + block.channels_out) * block.channels_out / block.shrink
            for block in self.base.residuals
        )
        linear = sum((18 * block.depth + 2) * block.channels**2 / block.shrink for block in self.base.transformers)
        attention = sum(2 * block.depth * block.channels / block.shrink**2 for block in self.base.transformers)
        return 2 * positions * (residual + linear + attention * positions)

    @property
    def _launch_seconds(self) -> float:
        blocks = sum(block.depth for block in self.base.transformers)
        return blocks * _LAUNCH_SECONDS["transformer"] + len(self.base.residuals) * _LAUNCH_SECONDS["residual"]

    @property
    def _cpu_block_seconds(self) -> float:
        blocks = sum(block.depth for block in self.base.transformers) + len(self.base.residuals)
        return blocks * _CPU_BLOCK_SECONDS

    @staticmethod
    def _rate(values: Mapping[str, ArrayLike], *, on_gpu: bool) -> ArrayLike:
        return np.where(_half(values), _GPU_HALF, _GPU_FULL) if on_gpu else _CPU

    @staticmethod
    def _trains_unet(values: Mapping[str, ArrayLike]) -> ArrayLike:
        return columns.number(values, "learning_rate", 1.0) > 0


def of(base: str, evaluation: sections.Evaluation) -> Footprint | None:
    """The footprint of trials that train LoRAs; None where their base is not known here."""
    found = architecture.read(base)
    if found is None:
        return None
    scorers = [evaluation.clip.model, *([evaluation.dino.model] if evaluation.dino else [])]
    fewer, during = sections.at_milestones(evaluation), evaluation.during
    return Footprint(
        base=found,
        scorer_parameters=sum(_SCORERS.get(name, max(_SCORERS.values())) for name in scorers),
        pictures=(len(evaluation.prompts) + len(evaluation.held_out)) * len(evaluation.seeds),
        drawing_steps=evaluation.steps,
        every_samples=None if during is None else during.every_samples,
        milestone_pictures=sections.pictures_at_milestones(evaluation),
        milestone_steps=0 if fewer is None else fewer.steps,
    )


def _half(values: Mapping[str, ArrayLike]) -> ArrayLike:
    return np.isin(columns.text(values, "mixed_precision", "no"), ("fp16", "bf16"))


def _checkpointed(values: Mapping[str, ArrayLike]) -> ArrayLike:
    return columns.number(values, "gradient_checkpointing", 0.0) > 0


def _trains_text(values: Mapping[str, ArrayLike]) -> ArrayLike:
    rate, ratio = (columns.number(values, name, 0.0) for name in ("text_encoder_lr", "text_encoder_lr_ratio"))
    return (rate > 0) | (ratio > 0)


def _state_bytes(values: Mapping[str, ArrayLike]) -> ArrayLike:
    kinds = columns.text(values, "optimizer_type", "AdamW")
    # an optimizer that is not known counts as AdamW
    return np.select([kinds == kind for kind in _STATE_BYTES], list(_STATE_BYTES.values()), _STATE_BYTES["AdamW"])
