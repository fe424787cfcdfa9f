"""Proofs agree with the judge: no rule is proved silent, or endless, whose floats say otherwise at some point."""

import itertools
import math
from fractions import Fraction

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from constraints.names.domain import Domain
from constraints.proving import examine
from tests.constraints.test_counted import rules_of

FORMS = ("{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / {c}", "{x} * {c} + {y}", "{y} - {x} / {c}")
DECIMALS = ("0.1", "0.2", "0.3", "0.7", "1.1", "0.05", "3", "1e-4", "1.2e-4")


def status(space: dict[str, Domain], *conditions: str) -> list[str]:
    return [finding.status for finding in examine.examine(rules_of(space, *conditions)).rules]


def test_a_sum_that_only_rounding_lifts_above_zero_is_live() -> None:
    space = {"x": Domain("x", "float", 0.1, 0.2), "y": Domain("y", "float", 0.1, 0.1)}
    rules = rules_of(space, "x + y - 0.3 > 0")
    assert rules.check_point({"x": 0.2, "y": 0.1}).refused_by == ("r0",)
    assert status(space, "x + y - 0.3 > 0") == ["live"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("x > 0.3", "never-fires"),
        ("x >= 0.30000000000000001", "live"),  # as a float it is 0.3
        ("x < 0.30000000000000001", "live"),
        ("x * 2 > 0.6", "never-fires"),
        ("x - y > 0", "never-fires"),
        ("x - 0.2 - 0.1 > 0", "live"),
        ("x > y", "never-fires"),
        ("x / 3 > 0.1", "never-fires"),
        ("abs(x) < 0", "never-fires"),
        ("max(x, 0.1) - 0.3 > 0", "never-fires"),
        ("x * x < 0", "never-fires"),
        ("x * x <= 0 and x > 0", "live"),  # 1e-200 squared is 0
    ],
)
def test_edges_of_a_range_are_proved_where_no_rounding_reaches_them(condition: str, expected: str) -> None:
    space = {"x": Domain("x", "float", 0.0, 0.3), "y": Domain("y", "float", 0.3, 0.9)}
    assert status(space, condition) == [expected]


def test_the_same_sum_in_two_rules_is_rounded_the_same() -> None:
    space = {"x": Domain("x", "float", 0.1, 0.2), "y": Domain("y", "float", 0.1, 0.2)}
    assert status(space, "x + y - 0.3 > 0", "not x + y - 0.3 <= 0") == ["redundant", "redundant"]
    found = examine.examine(rules_of(space, "x + y - 0.3 > 0", "x + y - 0.3 <= 0"))
    assert found.contradiction == ("r0", "r1")


# -- aimed cases: sums, differences and products that meet a limit exactly at an end of a range ------------------------


def _floats(low: float, high: float) -> list[float]:
    """Floats around both ends and the middle of a range, where rounding shows."""
    found = {low, high, (low + high) / 2}
    for end in (low, high):
        value = end
        for _ in range(4):
            value = math.nextafter(value, high if end == low else low)
            found.add(value)
    return sorted(value for value in found if low <= value <= high)


@st.composite
def aimed(draw: st.DrawFn) -> tuple[dict[str, Domain], str]:
    numbers = st.sampled_from(DECIMALS)
    ends = sorted({float(draw(numbers)), float(draw(numbers))})
    log = draw(st.booleans())
    space = {"x": Domain("x", "float", ends[0], ends[-1], log=log and ends[0] > 0)}
    other = draw(st.sampled_from(["range", "step", "one"]))
    low = float(draw(numbers))
    if other == "range":
        space["y"] = Domain("y", "float", low, low * 2)
    elif other == "step":
        space["y"] = Domain("y", "float", low, low * 4, low / 2)
    else:
        space["y"] = Domain("y", "float", low, low)
    x, y = draw(st.sampled_from([ends[0], ends[-1]])), draw(st.sampled_from([space["y"].low, space["y"].high]))
    form = draw(st.sampled_from(FORMS))
    c = draw(numbers)
    exact = {"x": Fraction(repr(x)), "y": Fraction(repr(y)), "c": Fraction(c)}
    limit = eval(form.format(x="x", y="y", c="c"), {}, exact)
    shown = repr(float(limit))
    operator = draw(st.sampled_from([">", ">=", "<", "<=", "==", "!="]))
    left = form.format(x="x", y="y", c=c)
    how = draw(st.sampled_from(["{left} {op} {limit}", "{left} - {limit} {op} 0", "0 {op} {limit} - ({left})"]))
    return space, how.format(left=left, op=operator, limit=shown)


@pytest.mark.slow
@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(case=aimed())
def test_a_proof_is_never_contradicted_by_a_float(case: tuple[dict[str, Domain], str]) -> None:
    space, condition = case
    rules = rules_of(space, condition)
    (finding,) = examine.examine(rules).rules
    grids = [d.grid() if math.isfinite(d.points()) else _floats(d.low, d.high) for d in space.values()]
    table = np.array(list(itertools.product(*grids)), dtype=float)
    columns = {name: table[:, at] for at, name in enumerate(space)}
    fired = rules.check(columns).refused[0]
    if finding.status == "never-fires":
        assert not fired.any()
    if finding.status == "always-fires":
        assert fired.all()
