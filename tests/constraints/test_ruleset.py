import pytest

from constraints import ruleset
from constraints.domain import Domain

SPACE = {
    domain.name: domain
    for domain in (
        Domain("learning_rate", "float", 6e-5, 1.2e-4, log=True),
        Domain("network_dim", "choice", choices=(64, 128, 256)),
        Domain("network_alpha_ratio", "float", 0.25, 0.9, 0.05),
        Domain("max_train_epochs", "choice", choices=(12, 16, 20)),
        Domain("optimizer_type", "choice", choices=("AdamW", "AdamW8bit", "Prodigy")),
        Domain("lr_warmup_steps", "choice", choices=(50, 100, 150, 200)),
        Domain("gradient_accumulation_steps", "choice", choices=(1, 2, 4)),
    )
}
TRIAL_4 = {
    "learning_rate": 1.84e-4,
    "network_dim": 128,
    "network_alpha_ratio": 1.0,
    "optimizer_type": "AdamW8bit",
    "max_train_epochs": 8,
    "lr_warmup_steps": 100,
    "gradient_accumulation_steps": 1,
}


def test_the_source_experiments_failed_trial_is_refused() -> None:
    verdict = ruleset.load(["lora-v2.1"], SPACE).check_point(TRIAL_4)
    assert verdict.verdict == "refused"
    assert set(verdict.refused_by) == {
        "eight-bit-needs-low-lr",
        "alpha-equals-dim",
        "high-lr-needs-accumulation",
        "high-alpha-needs-safeguards",
        "very-high-alpha-needs-low-lr",
    }
    assert all(violation > 0 for violation in verdict.violations.values())
    assert verdict.as_json()["violations"]["high-alpha-needs-safeguards"] == pytest.approx(0.25 / 0.65)
