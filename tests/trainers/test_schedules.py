"""Every optimizer under every schedule that the trainer's check accepts takes its steps; the rest is refused."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from trainers.contract import job
from trainers.declared import registry
from trainers.lora import parameters, settings, steps
from trainers.training import optim

#: on the CPU bitsandbytes says so, and takes the same steps without pages
pytestmark = pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")

STEPS = 4
#: what is asked of the warmup, and the steps that it takes of `STEPS`
WARMUPS: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"lr_warmup_steps": 0}, 0),
    ({"lr_warmup_steps": 2}, 2),
    ({"lr_warmup_steps": STEPS}, STEPS),
    ({"lr_warmup_steps": STEPS + 1}, STEPS + 1),
    ({"lr_warmup_ratio": 0.0}, 0),
    ({"lr_warmup_ratio": 0.5}, 2),
    ({"lr_warmup_ratio": 1.0}, STEPS),
]
#: what is trained, as learning rates of the UNet and of the text encoders
TRAINED: list[dict[str, Any]] = [
    {},
    {"learning_rate": 1e-3, "text_encoder_lr": 5e-4},
    {"learning_rate": 0.0, "text_encoder_lr": 1e-3},
]


def take(params: dict[str, Any]) -> tuple[list[list[float]], list[torch.Tensor]]:
    """The learning rates of each step, and the weights after the last."""
    own = settings.lora_settings(params, seed=1)
    plan = steps.plan(4, own)
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(16, 32, generator=generator)) for _ in range(2)]
    trained = ([weights[0]] if own.learning_rate else [], [weights[1]] if own.text_encoder_lr else [])
    optimizer = optim.optimizer(own, *trained)
    schedule = optim.schedule(own, plan, optimizer)
    target = torch.randn(16, 32, generator=generator)
    rates = []
    for _ in range(plan.total_steps):
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        torch.stack([(weight - target).square().mean() for group in trained for weight in group]).sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return rates, [weight.detach() for group in trained for weight in group]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", parameters.OPTIMIZERS)
def test_what_the_check_accepts_trains_and_what_cannot_is_refused(optimizer: str) -> None:
    for scheduler, (warmup, climbing), trained in itertools.product(parameters.SCHEDULERS, WARMUPS, TRAINED):
        params = {
            "optimizer_type": optimizer,
            "lr_scheduler": scheduler,
            "max_train_steps": STEPS,
            "min_8bit_size": 64,
            **warmup,
            **trained,
        }
        refused = registry.of("diffusion-lora").check(params)
        assert bool(refused) == (scheduler != "constant" and climbing > STEPS), (params, refused)
        if refused:
            continue
        rates, weights = take(params)
        assert len(rates) == STEPS
        assert all(math.isfinite(rate) and rate >= 0 for step in rates for rate in step), (params, rates)
        assert max(rate for step in rates for rate in step) > 0, (params, rates)
        assert all(bool(torch.isfinite(weight).all()) for weight in weights), params


@pytest.mark.parametrize("optimizer", parameters.OPTIMIZERS)
def test_the_polynomial_schedule_ends_at_the_same_rate_under_every_optimizer(optimizer: str) -> None:
    params = {"optimizer_type": optimizer, "lr_scheduler": "polynomial", "learning_rate": 1e-4, "max_train_steps": 4}
    rates, _ = take(params)
    ends = [1e-4 - step / 4 * (1e-4 - 1e-7) for step in range(4)]
    assert [rate for (rate,) in rates] == pytest.approx(ends)


@pytest.mark.parametrize("params", [{"learning_rate": 5e-8}, {"learning_rate": 0.0, "text_encoder_lr": 1e-7}])
def test_a_rate_that_is_not_above_the_end_of_the_polynomial_schedule_is_refused(params: dict[str, Any]) -> None:
    (refused,) = registry.of("diffusion-lora").check({"lr_scheduler": "polynomial", **params})
    assert "polynomial schedule ends" in refused


def test_a_ratio_of_no_rate_trains_nothing_and_is_refused() -> None:
    (refused,) = registry.of("diffusion-lora").check({"learning_rate": 0.0, "text_encoder_lr_ratio": 0.5})
    assert "nothing would be trained" in refused


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"optimizer_type": "AdaFactor", "lr_scheduler": "polynomial"},
        {"optimizer_type": "Lion8bit", "lr_scheduler": "polynomial", "lr_warmup_ratio": 1.0},
        {"optimizer_type": "Prodigy", "learning_rate": 1.0, "lr_scheduler": "polynomial", "lr_warmup_steps": 2},
    ],
    ids=lambda params: params["optimizer_type"],
)
def test_the_recipe_trains_to_the_end_of_a_polynomial(
    params: dict[str, Any], make_job: Callable[..., job.TrainJob], run: Callable[..., Any]
) -> None:
    told = run(make_job({"learning_rate": 1e-3, "max_train_steps": 2, **params}))
    assert told.one("trained")["steps"] == 2
    assert told.one("trial-finished")["outcome"] in ("finished", "failed")
