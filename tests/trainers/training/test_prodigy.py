"""Our Prodigy against its authors' package."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prodigyopt import Prodigy as Authors

from trainers.training.prodigy import Prodigy


def weights_of(seed: int) -> list[torch.nn.Parameter]:
    """A LoRA's: a random one and a zero one for each layer, in float64, so that only the method can differ."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 16), (8, 4), (4, 8, 1, 1), (16, 4)]
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator).double() * (number % 2 == 0))
        for number, shape in enumerate(shapes)
    ]


def train(optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], rates: list[float], seed: int) -> None:
    """Noisy steps towards 1 everywhere; the rate of each step is set as a schedule would."""
    generator = torch.Generator().manual_seed(seed)
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        for weight in weights:
            weight.grad = (weight.detach() - 1) + 0.1 * torch.randn(weight.shape, generator=generator)
        optimizer.step()


def pair(
    seed: int, *, decay: float, d_coef: float, d0: float
) -> tuple[torch.optim.Optimizer, list[torch.nn.Parameter], torch.optim.Optimizer, list[torch.nn.Parameter]]:
    """Ours and the authors', each over the same weights in two groups."""
    own, theirs = weights_of(seed), weights_of(seed)
    options = {"weight_decay": decay, "d_coef": d_coef, "d0": d0}
    ours = Prodigy([{"params": own[:2]}, {"params": own[2:]}], **options)
    advised = {"safeguard_warmup": True, "use_bias_correction": True, "decouple": True, **options}
    return ours, own, Authors([{"params": theirs[:2]}, {"params": theirs[2:]}], **advised), theirs


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    decay=st.sampled_from([0.0, 0.01, 0.5]),
    d_coef=st.sampled_from([0.5, 1.0, 4.0]),
    d0=st.sampled_from([1e-6, 1e-4, 1e-2]),
    rates=st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=40),
)
@pytest.mark.filterwarnings("ignore:.*decoupled")
def test_it_takes_the_authors_steps(seed: int, decay: float, d_coef: float, d0: float, rates: list[float]) -> None:
    ours, own, authors, theirs = pair(seed, decay=decay, d_coef=d_coef, d0=d0)
    train(ours, own, rates, seed)
    train(authors, theirs, rates, seed)
    assert float(ours.param_groups[0]["d"]) == pytest.approx(authors.param_groups[0]["d"], rel=1e-9)
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_a_broken_gradient_breaks_the_weights_and_not_the_estimate() -> None:
    ours, own, authors, theirs = pair(0, decay=0.01, d_coef=1.0, d0=1e-4)
    for optimizer, weights in ((ours, own), (authors, theirs)):
        train(optimizer, weights, [1.0] * 3, 0)
        for weight in weights:
            weight.grad = torch.full_like(weight, torch.nan)
        optimizer.step()
    assert float(ours.param_groups[0]["d"]) == pytest.approx(authors.param_groups[0]["d"], rel=1e-9)
    assert all(bool(weight.isnan().all()) for weight in own)


def test_no_gradient_at_all_changes_nothing() -> None:
    ours, own, _, untouched = pair(0, decay=0.5, d_coef=1.0, d0=1e-4)
    for weight in own:
        weight.grad = torch.zeros_like(weight)
    ours.step()
    assert all(torch.equal(one, other) for one, other in zip(own, untouched, strict=True))
    assert float(ours.param_groups[0]["k"]) == 0


def test_weights_without_a_gradient_are_left_alone() -> None:
    ours, own, _, untouched = pair(0, decay=0.5, d_coef=1.0, d0=1e-4)
    own[0].grad = torch.ones_like(own[0])
    ours.step()
    assert not torch.equal(own[0], untouched[0])
    assert torch.equal(own[2], untouched[2])


def test_groups_of_different_rates_are_refused() -> None:
    ours, *_ = pair(0, decay=0.0, d_coef=1.0, d0=1e-4)
    ours.param_groups[1]["lr"] = 0.5
    with pytest.raises(ValueError, match=r"one learning rate, not 1\.0, 0\.5"):
        ours.step()


@given(cut=st.integers(0, 8))
@settings(max_examples=9, deadline=None)
def test_a_restored_one_goes_on_as_the_first_would(cut: int) -> None:
    whole, expected, *_ = pair(1, decay=0.01, d_coef=1.0, d0=1e-4)
    first, broken, *_ = pair(1, decay=0.01, d_coef=1.0, d0=1e-4)
    for optimizer, weights, steps in ((whole, expected, 8), (first, broken, cut)):
        for step in range(steps):
            train(optimizer, weights, [1.0], step)
    second = Prodigy([{"params": broken[:2]}, {"params": broken[2:]}], weight_decay=0.9, d_coef=9.0, d0=0.9)
    second.load_state_dict(first.state_dict())
    for step in range(cut, 8):
        train(second, broken, [1.0], step)
    assert all(torch.equal(one, other) for one, other in zip(expected, broken, strict=True))
