"""Points that z3 finds beside a wanted one."""

from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from constraints.proving import witness
from optimizer.study import space
from tests.optimizer import searching

STUDY = searching.study(
    {
        "network_dim": {"choices": [4, 8, 16, 32]},
        "network_alpha": {"float": [1.0, 32.0]},
        "network_dropout": {"float": [0.0, 0.5], "step": 0.05},
        "train_batch_size": {"int": [1, 100]},
        "lr_scheduler": {"choices": ["cosine", "cosine_with_restarts"]},
        "lr_scheduler_num_cycles": {"int": [1, 4], "when": 'lr_scheduler == "cosine_with_restarts"'},
    }
)
TIED = searching.rules(
    STUDY,
    {"require": "abs(network_alpha - network_dim / 2) < 0.000001"},
    {"refuse": 'lr_scheduler == "cosine" and train_batch_size > 50'},
)


@strategies.composite
def points(draw: strategies.DrawFn) -> dict[str, Any]:
    """Any point of the space."""
    shares = strategies.floats(0, 1, exclude_max=True)
    point = {name: space.at_share(domain, draw(shares)) for name, domain in STUDY.space.items()}
    if point["lr_scheduler"] == "cosine":
        del point["lr_scheduler_num_cycles"]
    return point


@pytest.mark.slow
@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(wanted=points())
def test_a_point_that_keeps_the_rules_is_its_own_witness(wanted: Mapping[str, Any]) -> None:
    feasible = {**wanted, "network_alpha": wanted["network_dim"] / 2}
    feasible["train_batch_size"] = min(feasible["train_batch_size"], 50)
    assert witness.near(TIED, {}, feasible, list(feasible)) == feasible


@pytest.mark.slow
@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(wanted=points(), data=strategies.data())
def test_what_is_held_first_stays_and_the_rules_are_kept(
    wanted: Mapping[str, Any], data: strategies.DataObject
) -> None:
    order = data.draw(strategies.permutations(list(wanted)))
    # alpha alone may be half of no rank
    hypothesis.assume(order[0] != "network_alpha")
    found = witness.near(TIED, {}, wanted, order)
    assert found is not None
    assert not TIED.check_point(found, facts={}).refused_by
    assert found[order[0]] == wanted[order[0]]
    assert found["network_dropout"] == wanted["network_dropout"]


def test_rules_that_leave_nothing_have_no_witness() -> None:
    rules = searching.rules(STUDY, {"refuse": "network_dim < 16"}, {"refuse": "network_dim >= 16"})
    wanted = {"network_dim": 4, "network_alpha": 2.0}
    assert witness.near(rules, {}, wanted, list(wanted)) is None
