import math
import random
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from constraints.history import learn
from constraints.history.replay import FinishedTrial
from constraints.names.domain import Domain
from constraints.rules import ruleset
from constraints.rules.ruleset import RuleText

SPACE = {
    domain.name: domain
    for domain in (
        Domain("learning_rate", "float", 1e-5, 1e-3, log=True),
        Domain("network_dim", "choice", choices=(8, 16, 32, 64)),
        Domain("optimizer_type", "choice", choices=("AdamW", "AdamW8bit", "Prodigy")),
        Domain("lr_scheduler", "choice", choices=("cosine", "constant")),
    )
}


def trials(count: int, noise: float, seed: int = 0, cause: bool = True) -> list[FinishedTrial]:
    """Trials that fail above a learning rate of 3e-4 with an 8-bit optimizer, and now and then for no reason."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        params = {
            "learning_rate": 10 ** chance.uniform(-5, -3),
            "network_dim": chance.choice([8, 16, 32, 64]),
            "optimizer_type": chance.choice(["AdamW", "AdamW8bit", "Prodigy"]),
            "lr_scheduler": chance.choice(["cosine", "constant"]),
        }
        unsafe = cause and params["learning_rate"] > 3e-4 and params["optimizer_type"] == "AdamW8bit"
        found.append(FinishedTrial(number, params, (), unsafe or chance.random() < noise, 60.0))
    return found


@pytest.mark.slow
def test_the_cause_of_failures_is_found_and_written_as_a_rule() -> None:
    found = learn.suggest(trials(120, noise=0.02), SPACE)
    best = found.rules[0]
    assert best.precision > 0.85
    assert best.interval[0] < best.precision <= best.interval[1]
    assert 'optimizer_type == "AdamW8bit"' in best.condition
    assert "learning_rate > 0.000" in best.condition
    rules = ruleset.load([RuleText(found.as_rule_file("learned"), "learned.yaml")], SPACE)
    unsafe = {"learning_rate": 8e-4, "network_dim": 8, "optimizer_type": "AdamW8bit", "lr_scheduler": "cosine"}
    assert rules.check_point(unsafe).refused_by[0] == "learned-1"
    assert rules.check_point({**unsafe, "optimizer_type": "AdamW"}).verdict == "accepted"


def test_nothing_is_suggested_on_too_few_failures() -> None:
    found = learn.suggest(trials(12, noise=0.0), SPACE)
    assert found.rules == ()
    assert "at least 5" in found.remark


@pytest.mark.slow
def test_failures_without_a_cause_seldom_teach_anything() -> None:
    suggested = sum(bool(learn.suggest(trials(80, 0.2, seed, cause=False), SPACE).rules) for seed in range(6))
    assert suggested <= 1


def test_a_learned_file_without_rules_is_a_valid_rule_file() -> None:
    text = learn.suggest([], SPACE).as_rule_file("empty")
    assert ruleset.load([RuleText(text, "empty.yaml")], SPACE).rules == ()


AWKWARD = {
    "rate": Domain("rate", "float", 1e-5, 1e-3, log=True),
    "size": Domain("size", "choice", choices=(4, 8, 16)),
    "share": Domain("share", "float", 0.0, 1.0, 0.1),
    "kind": Domain("kind", "choice", choices=("it's", 'so "called"', "both ' and \"", "a: b # c", "back\\slash")),
    "flag": Domain("flag", "choice", choices=(True, False)),
    "cycles": Domain("cycles", "int", 1, 4, when="flag"),
}


@st.composite
def histories(draw: st.DrawFn) -> list[FinishedTrial]:
    count = draw(st.integers(1, 60))
    chance = random.Random(draw(st.integers(0, 10_000)))
    share, cause = draw(st.sampled_from([0.0, 0.1, 0.5, 0.85, 1.0])), draw(st.sampled_from([None, *AWKWARD]))
    found = []
    for number in range(count):
        params = {name: chance.choice(_some(domain)) for name, domain in AWKWARD.items() if chance.random() < 0.95}
        if not params.get("flag"):
            params.pop("cycles", None)
        caused = cause in params and params[cause] == _some(AWKWARD[str(cause)])[0]
        found.append(FinishedTrial(number, params, (), caused or chance.random() < share, 1.0))
    return found


def _some(domain: Domain) -> list[Any]:
    return list(domain.grid()) if math.isfinite(domain.points()) else [domain.low, 3.3e-5, 1e-4, 5.01e-4, domain.high]


@pytest.mark.slow
@hypothesis.settings(deadline=None, max_examples=15)
@hypothesis.given(history=histories())
def test_what_is_suggested_loads_and_its_counts_are_true(history: list[FinishedTrial]) -> None:
    found = learn.suggest(history, AWKWARD)
    rules = ruleset.load([RuleText(found.as_rule_file("on: a day @ " + "x" * 200), "learned.yaml")], AWKWARD)
    assert len(rules.rules) == len(found.rules)
    assert found.rules or found.remark
    for rule, said in zip(rules.rules, found.rules, strict=True):
        refused = [trial for trial in history if rule.id in rules.check_point(trial.params).refused_by]
        assert (len(refused), sum(trial.failed for trial in refused)) == (said.covered, said.covered_failures)


def test_five_failures_of_six_teach_nothing_and_say_so() -> None:
    found = learn.suggest([*trials(5, noise=1.0), *trials(1, noise=0.0, seed=3, cause=False)], SPACE)
    assert found.rules == ()
    assert "no short condition" in found.remark
