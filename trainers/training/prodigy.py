"""Prodigy with its running estimate on the device.

The authors' package reads two numbers of every weight tensor back to the host in every step: by that count 768 waits a
step for an SD 1.5 LoRA. Here the estimate never leaves the device, and all tensors take a step together.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

Tensors = list[torch.Tensor]

_BETA1, _BETA2 = 0.9, 0.999
_BETA3 = math.sqrt(_BETA2)
_EPSILON = 1e-8


class Prodigy(torch.optim.Optimizer):
    """Mishchenko and Defazio 2024, arXiv 2306.06101, algorithm 4, as its authors advise for diffusion.

    That is decoupled weight decay, bias correction, safeguarded warmup and no limit on the estimate's growth. The
    first parameter group carries the running numbers as float64 tensors: `d` the estimate, `numerator` its running
    numerator, `k` the steps that had a gradient.

    Args:
        lr: factor on the estimate, the same in every group; a schedule may change it.
        d_coef: factor on the estimate itself.
        d0: the first estimate.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, weight_decay: float, d_coef: float, d0: float, lr: float = 1.0
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "d_coef": d_coef, "d0": d0})
        first = self.param_groups[0]
        zero = torch.zeros((), dtype=torch.float64, device=first["params"][0].device)
        first |= {"d": zero + d0, "numerator": zero, "k": zero.clone()}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step from the gradients; `closure` is there for the interface and is not called.

        Raises:
            ValueError: the groups have different rates, which one estimate cannot serve.
        """
        first = self.param_groups[0]
        lr, decay = first["lr"], first["weight_decay"]
        if any(group["lr"] != lr for group in self.param_groups):
            rates = ", ".join(str(group["lr"]) for group in self.param_groups)
            raise ValueError(f"Prodigy knows one learning rate, not {rates}; give every group the same")
        weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        if lr == 0 or not weights:
            return
        gradients: Tensors = [weight.grad for weight in weights]
        starts, means, squares, sums = self._states(weights)
        d, rate = first["d"], first["d"] * lr * _bias_correction(first["k"])
        dtype = weights[0].dtype

        distance = torch._foreach_sub(starts, weights)
        torch._foreach_mul_(distance, gradients)
        gained = torch.cat([each.flatten() for each in distance]).sum(dtype=torch.float64)
        scaled = torch._foreach_mul(gradients, d.to(dtype))
        torch._foreach_mul_(means, _BETA1)
        torch._foreach_add_(means, scaled, alpha=1 - _BETA1)
        torch._foreach_mul_(squares, _BETA2)
        torch._foreach_addcmul_(squares, scaled, scaled, value=1 - _BETA2)
        torch._foreach_mul_(scaled, (d / first["d0"]).to(dtype))
        torch._foreach_mul_(sums, _BETA3)
        torch._foreach_add_(sums, scaled)

        moved = self._estimate(gained * (d / first["d0"]) * rate, sums)

        scales = torch._foreach_sqrt(squares)
        # by its full name: the short one reads a 0-dim tensor back to the host
        torch.ops.aten._foreach_add_.Tensor(scales, (first["d"] * _EPSILON).to(dtype))
        updates = torch._foreach_div(means, scales)
        torch._foreach_add_(updates, weights, alpha=decay)
        torch._foreach_mul_(updates, (-rate * moved).to(dtype))
        torch._foreach_add_(weights, updates)

    def _estimate(self, gained: torch.Tensor, sums: Tensors) -> torch.Tensor:
        """Take this step's share of the numerator in; returns 1.0, or 0.0 while no weight ever had a gradient."""
        first = self.param_groups[0]
        denominator = torch.stack(torch._foreach_norm(sums, 1)).sum(dtype=torch.float64)
        moved = denominator != 0
        numerator = _BETA3 * first["numerator"] + gained
        # fmax leaves NaN aside, as the authors' max() does: a broken gradient shows in the weights
        first["d"] = torch.fmax(first["d"], first["d_coef"] * numerator / denominator)
        first["numerator"] = torch.where(moved, numerator, first["numerator"])
        first["k"] = first["k"] + moved
        return moved.double()

    def _states(self, weights: Sequence[torch.Tensor]) -> tuple[Tensors, Tensors, Tensors, Tensors]:
        """First weights, gradient means, squared-gradient means and weighted gradient sums, each a list by weight."""
        for weight in weights:
            if not self.state[weight]:
                zeros = {name: torch.zeros_like(weight) for name in ("mean", "square", "sum")}
                self.state[weight] = {"start": weight.detach().clone(), **zeros}
        states = [self.state[weight] for weight in weights]
        start, mean, square, total = ([state[name] for state in states] for name in ("start", "mean", "square", "sum"))
        return start, mean, square, total


def _bias_correction(k: torch.Tensor) -> torch.Tensor:
    """Adam's, on the device: sqrt(1 - beta2^(k + 1)) / (1 - beta1^(k + 1)) after `k` steps."""
    correction: torch.Tensor = (1 - _BETA2 ** (k + 1)).sqrt() / (1 - _BETA1 ** (k + 1))
    return correction
