import copy
from typing import Any

import peft
import pytest
import torch
from diffusers import UNet2DConditionModel

from trainers.adapters import adapters
from trainers.lora import architecture


@pytest.fixture
def unet() -> Any:
    return UNet2DConditionModel.from_pretrained(architecture.DEMO / "base" / "unet", dtype=torch.float32)


def loss_of(model: Any, precision: torch.dtype | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents, hidden = torch.randn(2, 8, 8, 8, generator=generator), torch.randn(2, 24, 128, generator=generator)
    with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
        prediction: torch.Tensor = model(latents, torch.tensor([10, 700]), hidden).sample
    return prediction.float().square().mean()


def fill(model: Any) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    weights = adapters.weights(model)
    for weight in weights:
        weight.data = torch.randn(weight.shape, generator=generator) * 0.1
    return weights


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [(None, 1e-5), (torch.bfloat16, 3e-2)], ids=["float32", "bf16"])
def test_the_short_forward_pass_gives_pefts_outputs_and_gradients(
    unet: Any, precision: torch.dtype | None, tolerance: float
) -> None:
    ours, plain = copy.deepcopy(unet), copy.deepcopy(unet)
    adapters.attach(ours, adapters.UNET_TARGETS, dim=4, alpha=3.0, dropout=0.0, seed=0)
    plain.add_adapter(peft.LoraConfig(r=4, lora_alpha=3.0, target_modules=list(adapters.UNET_TARGETS)))
    results = []
    for model in (ours, plain):
        weights = fill(model)
        loss = loss_of(model, precision)
        loss.backward()
        results.append((loss, [weight.grad for weight in weights]))
    (loss, gradients), (plain_loss, plain_gradients) = results
    torch.testing.assert_close(loss, plain_loss, rtol=tolerance, atol=0)
    whole = torch.cat([gradient.flatten() for gradient in plain_gradients])
    difference = torch.cat([gradient.flatten() for gradient in gradients]) - whole
    assert difference.norm() < tolerance * whole.norm()


def test_detaching_leaves_the_very_same_modules(unet: Any) -> None:
    before = dict(unet.named_modules())
    adapters.attach(unet, adapters.UNET_TARGETS, dim=2, alpha=1.0, dropout=0.5, seed=0)
    assert list(adapters.layers(unet))
    adapters.detach(unet)
    assert dict(unet.named_modules()) == before
    adapters.attach(unet, adapters.UNET_TARGETS, dim=3, alpha=1.0, dropout=0.0, seed=0)
    assert adapters.weights(unet)[0].shape[0] == 3


def test_a_fresh_lora_changes_nothing_and_its_update_is_zero(unet: Any) -> None:
    untouched = loss_of(unet)
    adapters.attach(unet, adapters.UNET_TARGETS, dim=2, alpha=1.0, dropout=0.0, seed=0)
    assert adapters.update_norm(unet) == 0
    torch.testing.assert_close(loss_of(unet), untouched)
    adapters.detach(unet)


def test_the_update_norm_is_that_of_the_full_matrices(unet: Any) -> None:
    adapters.attach(unet, adapters.UNET_TARGETS, dim=3, alpha=6.0, dropout=0.0, seed=0)
    fill(unet)
    squares = [layer.get_delta_weight(adapters.NAME).double().square().sum() for _, layer in adapters.layers(unet)]
    assert adapters.update_norm(unet) == pytest.approx(float(sum(squares).detach()) ** 0.5, rel=1e-5)
    adapters.detach(unet)


def test_dropout_falls_on_the_rank_activations_while_training_only(unet: Any) -> None:
    adapters.attach(unet, adapters.UNET_TARGETS, dim=4, alpha=4.0, dropout=0.9, seed=0)
    fill(unet)
    unet.eval()
    torch.testing.assert_close(loss_of(unet), loss_of(unet))
    unet.train()
    assert not torch.isclose(loss_of(unet), loss_of(unet))
    unet.eval()
    adapters.detach(unet)


def test_the_seed_alone_decides_the_start(unet: Any) -> None:
    starts = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        adapters.attach(unet, adapters.UNET_TARGETS, dim=2, alpha=1.0, dropout=0.0, seed=5)
        starts.append([weight.detach().clone() for weight in adapters.weights(unet)])
        adapters.detach(unet)
    assert all(torch.equal(one, other) for one, other in zip(*starts, strict=True))
