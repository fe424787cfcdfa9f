import accelerate
import bitsandbytes
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer

from trainers.declared import settings
from trainers.training import optim


@pytest.mark.parametrize("name", ["AdamW8bit", "Lion", "Lion8bit"])
def test_bitsandbytes_without_its_waits_takes_the_same_steps(name: str) -> None:
    own = settings.lora_settings({"optimizer_type": name, "min_8bit_size": 64, "learning_rate": 1e-2}, seed=1)
    ours, theirs = ([torch.nn.Parameter(torch.ones(16, 64)), torch.nn.Parameter(torch.ones(3, 4))] for _ in range(2))
    options = {"min_8bit_size": 64} if name.endswith("8bit") else {}
    plain = getattr(bitsandbytes.optim, name)(theirs, lr=1e-2, weight_decay=own.weight_decay, **options)
    for weights, optimizer in ((ours, optim.optimizer(own, ours, ())), (theirs, plain)):
        generator = torch.Generator().manual_seed(0)
        for _ in range(5):
            weights[0].grad = torch.randn(16, 64, generator=generator)
            optimizer.step()
            optimizer.zero_grad()
    assert not torch.equal(ours[0], torch.ones(16, 64))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["AdamW", "AdamW8bit", "SGDNesterov", "Prodigy"])
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
