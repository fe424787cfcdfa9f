import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constraints.judging import conditions
from constraints.names.domain import Domain, in_order
from constraints.proving import sample
from constraints.text.errors import ConstraintsError


def test_a_stepped_float_has_the_points_a_person_would_write() -> None:
    domain = Domain("ratio", "float", 0.25, 0.9, 0.05)
    assert domain.points() == 14
    assert domain.grid() == (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


def test_the_last_point_is_at_most_high() -> None:
    assert Domain("x", "float", 0, 1, 0.3).grid() == (0.0, 0.3, 0.6, 0.9)


@given(st.integers(-50, 50), st.integers(1, 40), st.integers(0, 60))
def test_every_point_is_in_its_domain_and_no_midpoint_is(low: int, step: int, count: int) -> None:
    domain = Domain("x", "float", low / 100, (low + step * count) / 100, step / 100)
    assert domain.points() == count + 1
    for index, value in enumerate(domain.grid()):
        assert domain.contains(value)
        assert domain.value_at(index) == value
        assert not domain.contains(value + step / 200)


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Domain("x", "float", 0.0, 1.0), [0, 0.5, 1.0], [-0.1, 1.1, "0.5", None, True, math.nan]),
        (Domain("x", "int", 1, 9, 2), [1, 3, 9, 3.0], [2, 3.5, 11]),
        (Domain("x", "choice", choices=(64, 128)), [64, 128.0], [65, "64", True]),
        (Domain("x", "choice", choices=("a", "b")), ["a"], ["c", 1, None]),
        (Domain("x", "choice", choices=(True, False)), [True], [1, 0, "True"]),
    ],
)
def test_membership_keeps_kinds_apart(domain: Domain, inside: list[object], outside: list[object]) -> None:
    assert [value for value in inside if not domain.contains(value)] == []
    assert [value for value in outside if domain.contains(value)] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "float", "low": 2.0, "high": 1.0}, "x: low 2.0 is above high 1.0"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "log": True}, "must be above 0 on a log scale"),
        ({"kind": "float", "low": 0.1, "high": 1.0, "log": True, "step": 0.1}, "exclude each other"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "step": 0.0}, "must be above 0"),
        ({"kind": "float", "low": 0.0, "high": math.inf}, "must be finite"),
        ({"kind": "int", "low": 0.5, "high": 3}, "whole numbers"),
        ({"kind": "choice"}, "choices are empty"),
        ({"kind": "choice", "choices": (1, "a")}, "mix kinds"),
        ({"kind": "choice", "choices": (1, True)}, "mix kinds"),
        ({"kind": "choice", "choices": (1, 1.0)}, "twice"),
        ({"kind": "choice", "choices": tuple(range(100_000))}, "100,000 choices; at most 1,000"),
        ({"kind": "choice", "choices": (1, 10**400)}, "whole number of 1329 bits; .* in quotes"),
        ({"kind": "choice", "choices": (1, 2**53 + 1)}, "told apart up to 2"),
        ({"kind": "choice", "choices": (1.0, 1e101)}, "numbers go up to 1e+100"),
        ({"kind": "int", "low": 1, "high": 1e20}, "high is 1e+20; whole numbers are told apart"),
        ({"kind": "int", "low": 1, "high": 10**400}, "high is a whole number of 1329 bits"),
        ({"kind": "int", "low": 1, "high": math.nan}, "high nan must be finite"),
        ({"kind": "int", "low": 1, "high": 4, "step": 9}, "step 9 is larger than the range from 1 to 4"),
        ({"kind": "float", "low": 1.0, "high": 10**400}, "high is a whole number of 1329 bits"),
        ({"kind": "float", "low": -1e308, "high": 1e308}, "low is -1e+308; numbers go up to"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "step": math.nan}, "step nan must be finite"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "step": 1e-300}, "too fine .* leave it out"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "step": 5e-324}, "too fine .* leave it out"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "step": 2.0}, "larger than the range"),
        ({"kind": "float", "low": 5e-324, "high": 1.0, "log": True}, "too little for a log scale"),
    ],
)
def test_contradictory_domains_are_refused_with_the_reason(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConstraintsError, match=message.replace("+", r"\+")):
        Domain("x", **arguments)  # type: ignore[arg-type]


def test_parameters_come_after_those_their_conditions_name() -> None:
    space = {
        "a": Domain("a", "int", 1, 2, when="b > 1"),
        "b": Domain("b", "int", 1, 2, when="c == 'x'"),
        "c": Domain("c", "choice", choices=("x", "y")),
    }
    assert list(in_order(space)) == ["c", "b", "a"]


def test_conditions_in_a_circle_are_refused() -> None:
    space = {"a": Domain("a", "int", 1, 2, when="b > 1"), "b": Domain("b", "int", 1, 2, when="a > 1")}
    with pytest.raises(ConstraintsError, match="depend on each other: a, b"):
        in_order(space)


def test_a_condition_that_names_nothing_known_is_refused() -> None:
    space = {"size": Domain("size", "int", 1, 2), "a": Domain("a", "int", 1, 2, when="sise > 1")}
    with pytest.raises(ConstraintsError, match=r"names 'sise'.*did you mean 'size'"):
        in_order(space)


def test_a_parameter_is_unset_where_its_condition_depends_on_one_that_is_unset() -> None:
    space = {
        "kind": Domain("kind", "choice", choices=("x", "y")),
        "outer": Domain("outer", "int", 1, 3, when='kind == "x"'),
        "inner": Domain("inner", "int", 1, 3, when="outer > 1 and steps > 10"),
    }
    found = conditions.Conditions(space, {"steps": 100})
    assert found.is_active("kind", {})
    assert found.is_active("inner", {"kind": "x", "outer": 2})
    assert not found.is_active("inner", {"kind": "x", "outer": 1})
    assert not found.is_active("inner", {"kind": "y"})


def test_wrong_conditions_are_found_with_their_place() -> None:
    space = {"kind": Domain("kind", "choice", choices=("x", "y")), "a": Domain("a", "int", 1, 2, when="kind > 1")}
    (error,) = conditions.problems(space)["a"]
    assert (error.start, error.end) == (0, 4)


@pytest.mark.parametrize(
    "domain",
    [
        Domain("x", "float", -0.3, 0.9, 0.1),
        Domain("x", "float", 0.0, 1e-8, 1e-13),
        Domain("x", "float", 0.1, 1e8, 0.7),
        Domain("x", "float", 1e-20, 1e-15, 1e-20),
        Domain("x", "int", -(2**52), 2**52, 3),
        Domain("x", "int", 7, 7),
    ],
)
def test_sampled_points_of_a_stepped_range_are_its_points(domain: Domain) -> None:
    shares = np.linspace(0, 1, 2_000, endpoint=False)
    values = sample.spread(domain, shares)
    count = int(domain.points())
    assert [float(domain.value_at(min(int(share * count), count - 1))) for share in shares] == values.tolist()
