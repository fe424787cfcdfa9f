import pytest

from trainers.contract import job
from trainers.declared import registry
from trainers.lora import settings, steps


def resolve(**params: job.Scalar) -> settings.LoraSettings:
    assert registry.of("diffusion-lora").check(params) == []
    return settings.lora_settings(params, seed=5)


def test_alpha_follows_from_its_ratio_and_the_dim() -> None:
    assert resolve(network_dim=64, network_alpha_ratio=0.25).network_alpha == 16


def test_alpha_is_the_dim_when_nothing_is_said() -> None:
    assert resolve(network_dim=8).network_alpha == 8


def test_text_encoders_are_left_alone_unless_asked_for() -> None:
    assert resolve(learning_rate=1e-3).text_encoder_lr == 0
    assert resolve(learning_rate=1e-3, text_encoder_lr_ratio=0.5).text_encoder_lr == pytest.approx(5e-4)


def test_prodigy_multiplies_its_own_estimate_with_one_rate() -> None:
    chosen = resolve(optimizer_type="Prodigy", text_encoder_lr=5e-5)
    assert (chosen.learning_rate, chosen.text_encoder_lr) == (1.0, 1.0)


def test_the_trial_seed_counts_unless_a_seed_is_fixed() -> None:
    assert resolve().seed == 5
    assert resolve(seed=0).seed == 0


@pytest.mark.parametrize(
    ("params", "batches", "total", "epochs"),
    [
        ({"max_train_epochs": 3}, 7, 21, 3),
        ({"max_train_epochs": 3, "gradient_accumulation_steps": 2}, 7, 12, 3),  # an epoch is ceil(7 / 2) steps
        ({"max_train_steps": 10}, 4, 10, 3),
        ({"max_train_samples": 100, "train_batch_size": 4, "gradient_accumulation_steps": 2}, 5, 13, 5),
        ({}, 2, 20, 10),
    ],
)
def test_steps_are_optimizer_steps(params: dict[str, int], batches: int, total: int, epochs: int) -> None:
    plan = steps.plan(batches, resolve(**params))
    assert (plan.total_steps, plan.epochs) == (total, epochs)


def test_warmup_is_counted_in_optimizer_steps() -> None:
    scheduled = {"max_train_steps": 50, "lr_scheduler": "cosine"}
    assert steps.plan(4, resolve(**scheduled, lr_warmup_ratio=0.1)).warmup_steps == 5
    assert steps.plan(4, resolve(**scheduled, lr_warmup_steps=7)).warmup_steps == 7
    assert steps.plan(4, resolve(max_train_steps=50, lr_warmup_steps=7)).warmup_steps == 0  # constant
