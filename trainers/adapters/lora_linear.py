"""The forward pass of a LoRA linear layer in as few kernels as it takes.

peft's own layer runs base, down, up, scale and add as separate operations, each with its own backward; for the small
matrices of a LoRA that is more launching than computing. Here the forward pass is three matrix products and the
backward pass five, with the scale folded into them. Same mathematics as peft: a test compares both.

Shapes: `x` (..., in), `base` (out, in), `down` (dim, in), `up` (out, dim).
"""

import types
from typing import Any

import torch
from peft.tuners.lora import Linear

#: the name of the one adapter a model carries
ADAPTER = "default"


class LoraLinear(torch.autograd.Function):
    """x @ base^T + bias + scale * (x @ down^T) @ up^T, with gradients for x, down and up."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        base: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        base, down, up = base.to(x.dtype), down.to(x.dtype), up.to(x.dtype)
        bias = None if bias is None else bias.to(x.dtype)
        rows = x.reshape(-1, x.shape[-1])
        narrow = rows @ down.T
        wide = torch.nn.functional.linear(rows, base, bias)
        wide.addmm_(narrow, up.T, alpha=scale)
        context.save_for_backward(rows, narrow, base, down, up)
        context.scale = scale
        return wide.reshape(*x.shape[:-1], -1)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> Any:
        rows, narrow, base, down, up = context.saved_tensors
        (gradient,) = gradients
        wide = gradient.reshape(-1, gradient.shape[-1])
        scale = context.scale
        narrow_gradient = torch.addmm(narrow, wide, up, beta=0, alpha=scale)
        down_gradient = narrow_gradient.T @ rows
        up_gradient = torch.addmm(up, wide.T, narrow, beta=0, alpha=scale)
        x_gradient = None
        if context.needs_input_grad[0]:
            x_gradient = (wide @ base).addmm_(narrow_gradient, down).reshape(*gradient.shape[:-1], -1)
        return x_gradient, None, None, down_gradient, up_gradient, None


def install(layer: Any) -> None:
    """Give a peft linear layer with one adapter and no dropout this forward pass; other layers are left alone."""
    if isinstance(layer, Linear) and isinstance(layer.get_base_layer(), torch.nn.Linear):
        layer.forward = types.MethodType(_forward, layer)


def _forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    base = layer.get_base_layer()
    weights = (base.weight, base.bias, layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight)
    kind = x.device.type
    if torch.is_autocast_enabled(kind):  # its rule for linear layers, applied once instead of to each product
        with torch.autocast(kind, enabled=False):
            return _apply(x.to(torch.get_autocast_dtype(kind)), *weights, layer.scaling[ADAPTER])
    return _apply(x, *weights, layer.scaling[ADAPTER])


def _apply(x: torch.Tensor, *others: Any) -> torch.Tensor:
    result: torch.Tensor = LoraLinear.apply(x, *others)
    return result
