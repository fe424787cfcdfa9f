from constraints.history.replay import FinishedTrial, compare, replay
from constraints.names.domain import Domain
from constraints.rules import ruleset
from constraints.rules.ruleset import RuleSet, RuleText

SPACE = {"rate": Domain("rate", "float", 0, 10)}


def rules(name: str, condition: str) -> RuleSet:
    text = (
        f"rules_version: 1\nname: {name}\nrules:\n  - {{id: limit, refuse: {condition}, because: x}}\n"
        "  - {id: usable, expect: failure_rate <= 0.1, because: x}\n"
    )
    return ruleset.load([RuleText(text, name)], SPACE)


def trial(number: int, rate: float, score: float | None, seconds: float = 60.0) -> FinishedTrial:
    """A trial with two objectives, score to maximise and rate to minimise; None is a failure."""
    values = () if score is None else (score, rate)
    metrics = {"failure_rate": 0.5 if number == 0 else 0.0}
    return FinishedTrial(number, {"rate": rate}, values, score is None, seconds, metrics=metrics)


TRIALS = [
    trial(0, 1, 0.3),
    trial(1, 2, 0.4),
    trial(2, 6, 0.9),
    trial(3, 7, 0.8),
    trial(4, 8, None),
    trial(5, 3, None, 30),
]


def test_failures_prevented_and_good_trials_lost_are_told_apart() -> None:
    found = replay(rules("strict", "rate > 5"), TRIALS, ["maximize", "minimize"])
    assert found.prevented == (4,)
    assert found.missed == (5,)
    assert found.lost == (2, 3)  # the best first
    assert found.best_lost == (2,)  # trial 3 is beaten by trial 2 in both objectives
    assert (found.seconds_saved, found.seconds_lost) == (60.0, 120.0)
    assert found.unusable == (0,)
    assert [(rule.id, rule.failures, rule.good) for rule in found.rules] == [("limit", (4,), (2, 3))]
    assert "failures prevented  1 of 2 (4)" in found.render()


def test_two_rule_sets_are_compared_side_by_side() -> None:
    strict, lenient = (replay(rules(n, c), TRIALS) for n, c in (("strict", "rate > 2.5"), ("lenient", "rate > 7.5")))
    text = compare(strict, lenient)
    assert "only strict refuses: (2, 3, 5)" in text
    assert "only lenient refuses: none" in text


def test_no_trials_is_an_empty_replay() -> None:
    assert replay(rules("strict", "rate > 5"), []).trials == 0
