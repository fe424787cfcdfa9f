"""A space with few points is counted whole, and then nothing about its rules is left open: brute force is the law."""

import itertools
from collections.abc import Mapping
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from constraints.names.domain import Domain, Value
from constraints.proving import examine
from constraints.rules import ruleset
from constraints.rules.ruleset import RuleSet, RuleText

POSSIBLE = (
    Domain("n", "int", 1, 100),
    Domain("few", "int", 0, 4),
    Domain("share", "float", 0.0, 1.0, 0.1),
    Domain("size", "choice", choices=(4, 8, 16)),
    Domain("kind", "choice", choices=("a", "b", "c")),
    Domain("flag", "choice", choices=(True, False)),
    Domain("cycles", "int", 1, 3, when="flag"),
)
NUMBERS = ("n", "few", "share", "size", "cycles")
TERMS = ("{a}", "{a} % 2", "{a} % 3", "floor({a} / 4)", "round({a} / 3)", "sqrt({a})", "log({a} + 1)", "{a} * {b}",
         "{a} - {b}", "{a} + {b} - 0.3", "{a} / {b}", "{a} // {b}", "exp({b} / 50)", "2 ** 3 - {a}")  # fmt: skip
LIMITS = ("0", "1", "2", "0.3", "0.5", "8", "12", "1.5", "60")


def rules_of(space: Mapping[str, Domain], *conditions: str) -> RuleSet:
    lines = [f"  - {{id: r{at}, refuse: '{condition}', because: x}}" for at, condition in enumerate(conditions)]
    text = "\n".join(["rules_version: 1", "name: r", "rules:", *lines])
    return ruleset.load([RuleText(text, "r.yaml")], space)


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Domain]:
    names = draw(st.lists(st.sampled_from([d.name for d in POSSIBLE]), min_size=1, max_size=3, unique=True))
    chosen = {domain.name: domain for domain in POSSIBLE if domain.name in names}
    if "cycles" in chosen:
        chosen["flag"] = next(domain for domain in POSSIBLE if domain.name == "flag")
    return chosen


@st.composite
def conditions(draw: st.DrawFn, space: Mapping[str, Domain]) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        numbers = [name for name in space if name in NUMBERS]
        if not numbers or draw(st.integers(0, 4)) == 0:
            texts = {"kind": ['kind == "a"', 'kind in ["a", "c"]'], "flag": ["flag"], "cycles": ["is_set(cycles)"]}
            usable = [text for name in space for text in texts.get(name, [])]
            if usable:
                parts.append(draw(st.sampled_from(usable)))
                continue
        term = draw(st.sampled_from(TERMS))
        term = term.format(a=draw(st.sampled_from(numbers)), b=draw(st.sampled_from(numbers)))
        operator = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
        parts.append(f"{term} {operator} {draw(st.sampled_from(LIMITS))}")
    joined = draw(st.sampled_from([" and ", " or "])).join(f"({part})" for part in parts)
    return draw(st.sampled_from([joined, f"not ({joined})"]))


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    space = draw(spaces())
    return rules_of(space, *(draw(st.lists(conditions(space), min_size=1, max_size=5))))


def points(space: Mapping[str, Domain]) -> list[dict[str, Value]]:
    """Every point, one by one; what is not set is left out."""
    table = [
        dict(zip(space, row, strict=True)) for row in itertools.product(*(domain.grid() for domain in space.values()))
    ]
    for point in table:
        if "cycles" in point and not point["flag"]:
            del point["cycles"]
    return table


def expected_status(fired: "np.ndarray[Any, Any]", at: int) -> str:
    """Of one rule, given who refuses what: shape (rules, points)."""
    if not fired[at].any():
        return "never-fires"
    if fired[at].all():
        return "always-fires"
    return "live" if (fired[at] & (fired.sum(axis=0) == 1)).any() else "redundant"


@pytest.mark.slow
@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(rules=rule_sets())
def test_every_verdict_on_a_counted_space_is_what_brute_force_says(rules: RuleSet) -> None:
    found = examine.examine(rules)
    table = points(rules.space)
    ids = [rule.id for rule in rules.rules]
    refused_by = [rules.check_point(point).refused_by for point in table]
    fired = np.array([[id_ in by for by in refused_by] for id_ in ids])
    kept = ~fired.any(axis=0)

    assert found.exact
    assert [finding.status for finding in found.rules] == [expected_status(fired, at) for at in range(len(ids))]
    assert found.feasible is bool(kept.any())
    assert found.leaves_nothing is not kept.any()
    if kept.any():
        assert found.contradiction == ()
        for name, domain in rules.space.items():
            used = {point.get(name) for point, ok in zip(table, kept, strict=True) if ok}
            unused = [value for value in domain.grid() if value not in used]
            said = found.unreachable.get(name, ())
            assert [value for value in domain.grid() if any(_names(part, value) for part in said)] == unused
    else:
        clashing = fired[[ids.index(id_) for id_ in found.contradiction]]
        assert clashing.any(axis=0).all()
        for at in range(len(clashing)):
            assert not np.delete(clashing, at, axis=0).any(axis=0).all()


def _names(part: Any, value: Value) -> bool:
    """Whether one entry of a list of unreachable values, or its range, means a value."""
    if isinstance(part, tuple):
        assert isinstance(value, int | float)
        return bool(part[0] <= value <= part[1])
    return bool(part == value)


def test_remainders_that_leave_nothing_of_a_counted_range_are_a_contradiction() -> None:
    space = {"n": Domain("n", "int", 1, 100)}
    found = examine.examine(rules_of(space, "n % 2 == 0", "n % 2 == 1", "floor(n / 4) >= 12"))
    assert found.contradiction == ("r0", "r1")
    assert found.rules[2].status == "redundant"
    assert found.leaves_nothing
    assert "time limit" not in found.render()


def test_unreachable_values_of_a_long_counted_range_are_ranges_wherever_they_lie() -> None:
    space = {"n": Domain("n", "int", 1, 100)}
    found = examine.examine(rules_of(space, "n > 40 and n < 60", "n == 7", "n >= 98"))
    assert found.unreachable["n"] == (7, (41, 59), (98, 100))


def test_nothing_found_in_a_sample_is_told_with_words_and_counts_as_nothing() -> None:
    space = {"x": Domain("x", "float", 0.1, 1.0), "y": Domain("y", "float", 0.1, 1.0)}
    found = examine.examine(rules_of(space, "log(x * y) < 1"))
    assert found.feasible is None
    assert found.leaves_nothing
    assert "none of 65,536 sampled points is feasible" in found.render()
    assert "not proved" in found.render()


def test_a_point_that_no_sample_shows_but_z3_solves_for_is_feasible() -> None:
    space = {"x": Domain("x", "float", 0.0, 1.0), "y": Domain("y", "float", 0.0, 1.0)}
    found = examine.examine(rules_of(space, "abs(x - y) > 1e-9"))
    assert found.feasible is True
    assert not found.leaves_nothing
    assert "0.00 %" not in found.render()


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_the_time_limit_is_named_only_where_it_was_reached(seconds: float) -> None:
    space = {"x": Domain("x", "float", 0.1, 1.0), "y": Domain("y", "float", 0.1, 1.0)}
    found = examine.examine(rules_of(space, "log(x) > 0", "x > 1"), seconds=seconds)
    assert ("time limit" in found.rules[1].why) is (seconds == 0)
    assert found.rules[0].status == "not-decided"
    if seconds:
        assert "log of a continuous value" in found.rules[0].why
