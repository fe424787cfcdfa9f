"""Parameters that change nothing are found by what trainers say of them, in the space as it is."""

import pathlib
from typing import Any

import pytest
import torch

from optimizer.study import idle
from optimizer.study import resolved as study
from tests.optimizer import searching
from trainers.lora import parameters, settings, steps
from trainers.training import optim

STUDY = """\
study_version: 1
name: my-character
base: demo
dataset: ./data
space:
  learning_rate: {float: [1.0e-5, 1.0e-3], log: true}
  SPACE
FIXED
objectives: {clip_score: maximize}
evaluation: {prompts: [a cat]}
"""


@pytest.mark.parametrize(
    ("space", "fixed", "found"),
    [
        ("lr_scheduler_num_cycles: {int: [1, 4]}", "fixed: {lr_scheduler: cosine}", {"lr_scheduler_num_cycles"}),
        ("lr_scheduler_num_cycles: {int: [1, 4]}", "fixed: {lr_scheduler: cosine_with_restarts}", set()),
        (
            "lr_scheduler_num_cycles: {int: [1, 4]}\n  lr_scheduler: {choices: [cosine, cosine_with_restarts]}",
            "",
            {"lr_scheduler_num_cycles"},
        ),
        (
            'lr_scheduler_num_cycles: {int: [1, 4], when: lr_scheduler == "cosine_with_restarts"}\n'
            "  lr_scheduler: {choices: [cosine, cosine_with_restarts]}",
            "",
            set(),
        ),
        (
            "lr_warmup_ratio: {choices: [0.0, 0.1]}\n  lr_scheduler: {choices: [cosine, constant_with_warmup]}",
            "",
            set(),
        ),
        ("d_coef: {float: [0.5, 2.0]}", "fixed: {optimizer_type: AdamW}", {"d_coef"}),
    ],
)
def test_a_parameter_without_effect_is_found(tmp_path: pathlib.Path, space: str, fixed: str, found: set[str]) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("SPACE", space).replace("FIXED", fixed), encoding="utf-8")
    assert set(idle.conditions(study.read(path))) == found


#: parameter -> two values, and what it takes to see a difference
CHANGES: dict[str, tuple[Any, Any]] = {
    "weight_decay": (0.0, 0.1),
    "min_8bit_size": (64, 4096),
    "d_coef": (1.0, 2.0),
    "d0": (1e-5, 1e-3),
    "lr_warmup_steps": (0, 3),
    "lr_warmup_ratio": (0.0, 0.5),
    "lr_scheduler_num_cycles": (1, 2),
    "lr_scheduler_power": (1.0, 2.0),
}


@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
@pytest.mark.parametrize("optimizer", parameters.OPTIMIZERS)
@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_is_without_effect_exactly_where_training_does_not_depend_on_it(name: str, optimizer: str) -> None:
    """Real steps with the one value and with the other end in the same weights, bit for bit, or they do not."""
    for scheduler in parameters.SCHEDULERS:
        fixed = {"optimizer_type": optimizer, "lr_scheduler": scheduler}
        made = searching.study({name: {"choices": list(CHANGES[name])}}).model_copy(update={"fixed": fixed})
        one, other = (weights_after({**fixed, name: value}) for value in CHANGES[name])
        assert (name in idle.conditions(made)) == torch.equal(one, other), (scheduler, fixed)


def weights_after(params: dict[str, Any], total: int = 24) -> torch.Tensor:
    own = settings.lora_settings({"max_train_steps": total, "min_8bit_size": 64, "d0": 1e-4, **params}, seed=1)
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(16, 32, generator=generator))
    optimizer = optim.optimizer(own, [weight], [])
    schedule = optim.schedule(own, steps.plan(4, own), optimizer)
    target = torch.randn(16, 32, generator=generator)
    for _ in range(total):
        weight.grad = 0.3 * torch.randn(16, 32, generator=generator) + (weight - target).detach()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return weight.detach()
