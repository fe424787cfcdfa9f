from typing import Any

import pytest

from constraints.names.domain import Domain
from constraints.rules import explain, ruleset
from constraints.rules.ruleset import RuleText

SPACE = {
    domain.name: domain
    for domain in (
        Domain("learning_rate", "float", 6e-5, 1.2e-4, log=True),
        Domain("network_dim", "choice", choices=(64, 128, 256)),
        Domain("optimizer_type", "choice", choices=("AdamW", "AdamW8bit")),
        Domain("use_dora", "choice", choices=(True, False)),
        Domain("cycles", "int", 1, 4, when="use_dora"),
    )
}
POINT = {"learning_rate": 1.84e-4, "network_dim": 128, "optimizer_type": "AdamW8bit", "use_dora": True, "cycles": 3}


def sentences(entry: str, **point: Any) -> list[str]:
    text = (
        "rules_version: 1\nname: t\nlimits: {high_lr: 1.0e-4}\nderived: {half: network_dim / 2}\n"
        f"rules:\n  - {{id: r, because: Because., {entry}}}\n"
    )
    return explain.sentences(ruleset.load([RuleText(text, "t.yaml")], SPACE), {**POINT, **point})


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (
            'learning_rate > 0.00012 and optimizer_type == "AdamW8bit"',
            "learning_rate 0.000184 is above 0.00012 and optimizer_type is AdamW8bit",
        ),
        ("learning_rate > high_lr", "learning_rate 0.000184 is above high_lr (0.0001)"),
        ("half <= 64", "half 64 is at most 64"),
        ("network_dim * 2 >= 256", "network_dim * 2 = 256 is at least 256"),
        ("0.0001 < learning_rate", "learning_rate 0.000184 is above 0.0001"),
        ("network_dim == 64 or learning_rate > 1e-4", "learning_rate 0.000184 is above 0.0001"),
        ("not (network_dim < 100)", "network_dim 128 is at least 100"),
        ("not (network_dim < 100 or use_dora == False)", "network_dim 128 is at least 100 and use_dora is not false"),
        ('optimizer_type in ["AdamW", "AdamW8bit"]', "optimizer_type AdamW8bit is one of AdamW, AdamW8bit"),
        ("network_dim not in [64, 256]", "network_dim 128 is none of 64, 256"),
        ("use_dora", "use_dora is true"),
        ("is_set(cycles)", "cycles is set"),
        ("use_dora if network_dim > 64 else False", "network_dim 128 is above 64 and use_dora is true"),
        ("network_dim != 64", "network_dim 128 is not equal to 64"),
    ],
)
def test_the_parts_that_broke_a_rule_are_told_with_their_numbers(condition: str, words: str) -> None:
    assert sentences(f"refuse: '{condition}'") == [f"refused by r: {words}. Because."]


def test_only_the_failing_requirements_are_told() -> None:
    found = sentences("when: use_dora, require: [network_dim >= 256, cycles < 2, learning_rate > 1e-5]")
    assert found == [
        "refused by r: use_dora is true and network_dim 128 is below 256 and cycles 3 is at least 2. Because."
    ]


def test_a_soft_rule_says_its_weight() -> None:
    assert sentences("discourage: network_dim == 128, weight: 0.25") == [
        "discouraged (weight 0.25) by r: network_dim 128 is equal to 128. Because."
    ]


def test_what_could_not_be_decided_says_which_part() -> None:
    assert sentences("refuse: 1 / (network_dim - 128) > 2") == [
        "refused by r: could not be decided: 1 / (network_dim - 128) has no value here. Because."
    ]


def test_an_accepted_point_is_said_to_be_accepted() -> None:
    assert sentences("refuse: network_dim == 64") == ["accepted: no rule refuses or discourages this point"]
