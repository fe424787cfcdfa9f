"""What every design promises to whoever claims trials; here none has a database, and trials are a list in memory."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest

from optimizer import attributes
from optimizer.designs import design, judgement
from optimizer.designs.search import search as searches
from optimizer.study import space
from tests.optimizer import searching
from tests.optimizer.designs import cells

State = optuna.trial.TrialState

SPACE = {"learning_rate": {"float": [0.0, 1.0]}, "network_dim": {"choices": [4, 8, 16]}}
POINTS = [{"learning_rate": rate, "network_dim": 8} for rate in (0.1, 0.2, 0.3, 0.4)]


def admission(*rules: Mapping[str, Any], **search: Any) -> judgement.Admission:
    of = searching.study(SPACE, objectives={"failure_rate": "minimize"}, **search)
    return judgement.Admission(of, searching.rules(of, *rules), searching.SITUATION)


def search(*rules: Mapping[str, Any]) -> design.Design:
    return searches.of(admission(*rules), seed=1)


def repeated(*rules: Mapping[str, Any]) -> design.Design:
    return searches.of(admission(*rules, repeats=2), seed=1)


def given(*rules: Mapping[str, Any]) -> design.Design:
    return cells.Cells(admission(*rules), POINTS)


class Trials:
    """A study's trials in memory, as every design is shown them."""

    def __init__(self) -> None:
        self.trials: list[optuna.trial.FrozenTrial] = []

    def add(self, proposal: design.Proposal, value: float | None = None) -> None:
        """A trial that ended with a value, or that runs."""
        domains = searching.study(SPACE, objectives={"failure_rate": "minimize"}).space
        trial = optuna.trial.create_trial(
            state=State.RUNNING if value is None else State.COMPLETE,
            value=value,
            params=dict(proposal.params),
            distributions={name: space.distribution(domains[name]) for name in proposal.params},
            system_attrs=dict(proposal.notes),
            user_attrs={attributes.REPEAT: proposal.repeat} if proposal.repeat else {},
        )
        trial.number = len(self.trials)
        self.trials.append(trial)


@pytest.mark.slow
def test_a_search_over_a_python_function_needs_no_database() -> None:
    """Ask, measure, tell: a quadratic's minimum at 0.3 is found under a rule that leaves 0.25 and more."""
    of, trials = search({"refuse": "learning_rate < 0.25"}), Trials()
    for _ in range(40):
        proposal = searching.drawn(of)
        trials.add(proposal, (float(proposal.params["learning_rate"]) - 0.3) ** 2)
        of.learn(trials.trials)
    assert min(trial.params["learning_rate"] for trial in trials.trials) >= 0.25
    losses = [trial.value or 0.0 for trial in trials.trials]
    assert min(losses[10:]) < min(losses[:10])


@pytest.mark.parametrize("make", [search, repeated, given])
class TestDesign:
    """The contract of a design."""

    def test_a_proposal_stands_until_somebody_else_has_its_point(self, make: Callable[..., design.Design]) -> None:
        of, trials = make(), Trials()
        proposal = searching.drawn(of)
        again = of.again(proposal)
        assert again is not None
        assert again.params == proposal.params
        trials.add(proposal)
        of.learn(trials.trials)
        assert of.again(proposal) is None
        assert searching.drawn(of).params != proposal.params

    def test_what_newer_rules_refuse_is_proposed_no_more(self, make: Callable[..., design.Design]) -> None:
        of = make()
        proposal = searching.drawn(of)
        of.follow(admission({"refuse": f"learning_rate <= {proposal.params['learning_rate']!r}"}))
        assert of.again(proposal) is None
        assert searching.drawn(of).params["learning_rate"] > proposal.params["learning_rate"]

    def test_what_is_given_of_a_point_stands_and_the_rest_is_filled_in(
        self, make: Callable[..., design.Design]
    ) -> None:
        filled = make().fill({"network_dim": 16})
        assert (filled["network_dim"], filled.keys()) == (16, SPACE.keys())

    def test_learning_the_same_trials_again_changes_nothing(self, make: Callable[..., design.Design]) -> None:
        proposals = []
        for looks in (1, 3):
            of, trials = make(), Trials()
            for _ in range(3):
                proposal = searching.drawn(of)
                trials.add(proposal, 0.5)
                for _ in range(looks):
                    of.learn(trials.trials)
            proposals.append([trial.params for trial in trials.trials])
        assert proposals[0] == proposals[1]


def test_a_repeat_is_the_same_point_under_the_next_number_and_another_may_stand_in_for_it() -> None:
    of, trials = repeated(), Trials()
    first = searching.drawn(of)
    trials.add(first, 0.5)
    of.learn(trials.trials)
    repeat = searching.drawn(of)
    assert (repeat.params, repeat.repeat) == (first.params, 1)
    trials.add(repeat)
    of.learn(trials.trials)
    assert of.again(repeat) is None  # another worker trains it, and the point needs no third
    assert searching.drawn(of).repeat == 0


def test_a_design_that_has_nothing_left_says_why() -> None:
    of, trials = given({"refuse": "learning_rate == 0.2"}), Trials()
    while isinstance(proposal := of.next(), design.Proposal):
        trials.add(proposal, 0.5)
        of.learn(trials.trials)
    assert len(trials.trials) == 3
    assert proposal.why == "every cell has been run"
    assert [params["learning_rate"] for params, _ in proposal.refused] == [0.2]


def test_a_search_says_whether_it_is_certain_that_nothing_is_left() -> None:
    small = searching.study({"network_dim": {"choices": [4, 8]}})
    of = searching.search(small)
    trials = searching.Trials(of)
    while isinstance(proposal := of.next(), design.Proposal):
        trials.add(proposal.params, [0.5])
        trials.look()
    assert proposal.why == "every feasible point of the space has been tried"
    assert len(trials.trials) == 2
