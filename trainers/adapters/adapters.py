"""The LoRA itself: put into a model, measured, and taken out again so that the base stays as it was."""

from collections.abc import Iterator
from typing import Any

import peft
import torch
from peft.tuners.lora import LoraLayer

from trainers.adapters import lora_linear

#: what sd-scripts trains: every linear layer and 1x1 convolution of the UNet's transformer blocks
UNET_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
#: and every linear layer of the CLIP text encoders
TEXT_ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
NAME = lora_linear.ADAPTER


def attach(model: Any, targets: tuple[str, ...], *, dim: int, alpha: float, dropout: float, seed: int) -> None:
    """Add a LoRA of rank `dim` to a diffusers or transformers model, in float32, initialised from `seed`.

    lora_down starts as Kaiming-uniform noise and lora_up as zeros, as in sd-scripts. Dropout falls on the rank
    activations, as there; peft's own would drop the layer's input, a different regularizer under the same number.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.add_adapter(peft.LoraConfig(r=dim, lora_alpha=alpha, target_modules=list(targets)), NAME)
    for _, layer in layers(model):
        layer.lora_A.float()
        layer.lora_B.float()
        if dropout == 0:
            lora_linear.install(layer)
        else:
            layer.lora_A[NAME].register_forward_hook(
                lambda module, inputs, output: torch.nn.functional.dropout(output, dropout, module.training)
            )


def detach(model: Any) -> None:
    """Take the LoRA out of a model."""
    for name, layer in list(layers(model)):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    if getattr(model, "_hf_peft_config_loaded", False):
        del model.peft_config
        model._hf_peft_config_loaded = False


def layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Names (as in the model without LoRA) and LoRA layers, in the model's order."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer))


def weights(model: Any) -> list[torch.nn.Parameter]:
    """The trained parameters of a model's LoRA, in the model's order."""
    return [weight for _, layer in layers(model) for weight in (layer.lora_A[NAME].weight, layer.lora_B[NAME].weight)]


@torch.no_grad()
def update_norm(model: Any) -> float:
    """Frobenius norm of all the LoRA's updates together: sqrt(sum of ||scale * up @ down||^2).

    ||up @ down||^2 = trace((up^T up) (down down^T)), so the full update is never built.
    """
    total = 0.0
    for _, layer in layers(model):
        down = layer.lora_A[NAME].weight.double().flatten(1)  # (dim, in)
        up = layer.lora_B[NAME].weight.double().flatten(1)  # (out, dim)
        square = ((up.T @ up) * (down @ down.T)).sum().clamp(min=0)
        total += float(square) * layer.scaling[NAME] ** 2
    return float(total**0.5)


def set_gradient_checkpointing(model: Any, *, on: bool) -> None:
    """Switch it by the name that diffusers' or transformers' models give it."""
    if hasattr(model, "enable_gradient_checkpointing"):
        (model.enable_gradient_checkpointing if on else model.disable_gradient_checkpointing)()
    else:
        (model.activation_checkpointing_enable if on else model.activation_checkpointing_disable)()
