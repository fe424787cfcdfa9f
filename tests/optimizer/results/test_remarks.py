"""One rule that ends or refuses nearly everything is called out; what a rule does rightly is not."""

from optimizer import attributes
from optimizer.results import ledger, remarks
from tests.optimizer import recorded


def test_a_stop_rule_that_ended_most_trials_is_named_with_the_steps() -> None:
    trials = [recorded.stopped(0, step=3), recorded.stopped(1, step=9), recorded.stopped(2), recorded.trial(3)]
    (remark,) = remarks.of(trials, 0, {})
    assert remark.rule == "too-loud"
    assert "the stop rule too-loud ended 3 of 4 trials, at step 3 to 10" in remark.text


def test_a_stop_rule_that_ended_a_few_is_not() -> None:
    trials = [recorded.stopped(0), recorded.stopped(1), *(recorded.trial(number) for number in range(2, 9))]
    assert not remarks.of(trials, 0, {})


def test_a_rule_that_refused_nearly_every_point_is_named() -> None:
    found = remarks.of([recorded.trial(0)], 40, {"strict": 39, "other": 5})
    assert [remark.rule for remark in found] == ["strict"]
    assert "39 of 41" in found[0].text


def test_an_expect_rule_that_failed_most_trials_is_named_and_training_itself_is_no_rule() -> None:
    failure = {"kind": "expect", "step": None, "message": "broke sharp"}
    trials = [
        recorded.trial(n, "unusable", failure=failure, constraints={attributes.TRAINING: 0.0, "sharp": 1.0})
        for n in range(3)
    ]
    assert [remark.rule for remark in remarks.of(trials, 0, {})] == ["sharp"]


def test_time_is_not_called_saved_without_the_remark() -> None:
    found = ledger.balance([ledger.Spent(30.0, 90.0, 300)], 0, [], "estimated", ["the stop rule x ended 3 of 3 trials"])
    assert found.sentence().splitlines()[1] == "look at this: the stop rule x ended 3 of 3 trials"
