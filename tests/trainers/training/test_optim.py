from typing import Any

import accelerate
import bitsandbytes
import prodigyopt
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer

from trainers.lora import parameters, settings
from trainers.training import optim


@pytest.mark.parametrize("name", ["AdamW8bit", "Lion", "Lion8bit", "Prodigy"])
def test_a_name_that_a_library_has_means_the_librarys_own_step(name: str) -> None:
    own = settings.lora_settings({"optimizer_type": name}, seed=1)
    built = optim.optimizer(own, [torch.nn.Parameter(torch.ones(2))], [])
    library: Any = prodigyopt if name == "Prodigy" else bitsandbytes.optim
    assert type(built) is getattr(library, name)
    assert "step_without_waiting" not in built.step.__qualname__


@pytest.mark.parametrize(("name", "same"), parameters.NO_SYNC.items())
def test_a_step_without_waits_is_the_step_it_is_named_after(name: str, same: str) -> None:
    """Bit for bit for bitsandbytes' kernels; Prodigy's sums are taken in another order."""
    trained = []
    for each in (name, same):
        params = {"optimizer_type": each, "min_8bit_size": 64, "learning_rate": 1e-2, "d0": 1.0}
        own = settings.lora_settings(params, seed=1)
        weights = [torch.nn.Parameter(torch.ones(16, 64)), torch.nn.Parameter(torch.ones(3, 4))]
        optimizer = optim.optimizer(own, weights, ())
        generator = torch.Generator().manual_seed(0)
        for _ in range(5):
            weights[0].grad = torch.randn(16, 64, generator=generator)
            optimizer.step()
            optimizer.zero_grad()
        trained.append(weights)
    ours, theirs = trained
    assert not torch.equal(ours[0], torch.ones(16, 64))
    if same == "Prodigy":
        torch.testing.assert_close(ours, theirs)
    else:
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    "name", ["AdamW", "AdamW8bit", "AdamW8bit-no-sync", "SGDNesterov", "Prodigy", "Prodigy-no-sync"]
)
def test_under_fp16_a_step_that_overflowed_is_seen_as_skipped(name: str) -> None:
    """Only then does the schedule wait for it. torch's loss scaling works on the CPU, fp16 training does not."""
    accelerate.Accelerator(cpu=True)
    weight = torch.nn.Parameter(torch.ones(8))
    own = settings.lora_settings({"optimizer_type": name, "mixed_precision": "fp16"}, seed=1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    scaler.scale(weight.sum())  # its scale comes to be with the first loss
    stepped = AcceleratedOptimizer(optim.optimizer(own, [weight], []), scaler=scaler, device_placement=False)
    skipped = []
    for gradient in (1.0, float("inf"), 1.0):
        weight.grad = torch.full_like(weight, gradient)
        stepped.step()
        skipped.append(stepped.step_was_skipped)
    assert skipped == [False, True, False]
    assert torch.isfinite(weight).all()
