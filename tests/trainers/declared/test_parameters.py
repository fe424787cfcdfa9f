import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.contract import job
from trainers.declared import registry

GOOD = {"learning_rate": 1e-4, "network_dim": 16, "max_train_epochs": 4, "optimizer_type": "AdamW"}


def check(**params: job.Scalar) -> list[str]:
    return registry.of("diffusion-lora").check({**GOOD, **params})


def test_ordinary_parameters_pass() -> None:
    assert check() == []


def test_every_default_passes_its_own_check() -> None:
    for parameter in registry.of("diffusion-lora").parameters.values():
        assert parameter.default is None or parameter.problem(parameter.default) is None, parameter.name


def test_every_condition_names_known_parameters() -> None:
    known = registry.of("diffusion-lora").parameters
    for parameter in known.values():
        if parameter.when:
            assert parameter.when.split()[0] in known


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("network_dims", 16, "did you mean network_dim?"),
        ("optimizer_type", "adamw8bit", "did you mean AdamW8bit?"),
        ("lr_scheduler", "cosine_with_restart", "did you mean cosine_with_restarts?"),
        ("network_dim", 0, "outside of >= 1 and <= 1024"),
        ("network_dim", 16.0, "not a whole number"),
        ("network_dim", True, "not a number"),
        ("learning_rate", "1e-4", "not a number"),
        ("learning_rate", float("nan"), "not a number"),
        ("network_alpha", 0, "outside of > 0"),
        ("enable_bucket", 1, "neither true nor false"),
        ("mixed_precision", 16, "not text"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_would_be_right(name: str, value: job.Scalar, said: str) -> None:
    (problem,) = check(**{name: value})
    assert problem.startswith(f"{name}: ")
    assert said in problem


def test_all_problems_are_found_at_once() -> None:
    assert len(check(network_dim=0, optimizer_type="Adam", learning_rat=1.0)) == 3


@pytest.mark.parametrize(
    "params",
    [
        {"max_train_steps": 10},
        {"max_train_samples": 10},
        {"lr_warmup_steps": 1, "lr_warmup_ratio": 0.1},
        {"network_alpha": 3.0, "network_alpha_ratio": 0.5},
        {"text_encoder_lr": 1e-4, "text_encoder_lr_ratio": 0.5},
        {"learning_rate": 0.0},
        {"learning_rate": 1e-8, "lr_scheduler": "polynomial"},
    ],
)
def test_parameters_that_contradict_each_other_are_refused(params: dict[str, job.Scalar]) -> None:
    assert len(check(**params)) == 1


def test_a_derived_alpha_beside_its_ratio_is_no_contradiction() -> None:
    assert check(network_dim=128, network_alpha_ratio=0.7, network_alpha=128 * 0.7) == []


def test_an_unknown_trainer_is_named_with_the_nearest() -> None:
    assert "did you mean diffusion-lora?" in (registry.unknown("diffusion_lora") or "")


VALUES = st.integers(-2, 40) | st.floats() | st.booleans() | st.sampled_from(["", "AdamW", "bf16", "1e-4"])


@given(st.dictionaries(st.sampled_from(sorted(registry.of("diffusion-lora").parameters)), VALUES))
def test_check_answers_for_any_values(params: dict[str, job.Scalar]) -> None:
    for problem in registry.of("diffusion-lora").check(params):
        assert ": " in problem
