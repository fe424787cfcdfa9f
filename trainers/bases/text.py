"""Captions to what the UNet is conditioned on."""

import dataclasses
from collections.abc import Sequence

import torch

from trainers.bases import models


@dataclasses.dataclass(frozen=True)
class Conditioning:
    """Encoded captions: `hidden` (N, tokens, channels); `pooled` (N, channels) for SDXL, else None."""

    hidden: torch.Tensor
    pooled: torch.Tensor | None = None

    def rows(self, numbers: torch.Tensor) -> "Conditioning":
        """The captions of these numbers, (B,) on the same device."""
        return Conditioning(self.hidden[numbers], None if self.pooled is None else self.pooled[numbers])


def tokenize(base: models.Base, captions: Sequence[str]) -> tuple[torch.Tensor, ...]:
    """Token numbers, (N, tokens) for each text encoder; longer captions are cut at the model's length."""
    return tuple(
        tokenizer(
            list(captions),
            padding="max_length",
            truncation=True,
            max_length=tokenizer.model_max_length,
            return_tensors="pt",
        ).input_ids
        for tokenizer in base.tokenizers
    )


def encode(base: models.Base, tokens: Sequence[torch.Tensor]) -> Conditioning:
    """Run the text encoders on tokens of `tokenize`, on their device.

    SD 1.5 uses the last hidden state after its layer norm; SDXL the last but one of both encoders side by side, and
    the second's pooled projection (as diffusers' pipelines do).
    """
    if base.family == "sd15":
        return Conditioning(base.text_encoders[0](tokens[0])[0])
    outputs = [encoder(ids, output_hidden_states=True) for encoder, ids in zip(base.text_encoders, tokens, strict=True)]
    hidden = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
    return Conditioning(hidden, outputs[1][0])
