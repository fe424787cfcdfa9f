"""Samples of a space: what is true of all the points is true of fewer of them."""

import pytest

from constraints.names.domain import Domain
from constraints.proving import sample

ENDLESS = {
    "rate": Domain(name="rate", kind="float", low=0.0, high=1.0),
    "drop": Domain(name="drop", kind="float", low=0.0, high=1.0),
}
#: 2**15 points in their order: every sixteenth one has the same `drop`
FINITE = {
    "rate": Domain(name="rate", kind="int", low=0, high=2**11 - 1),
    "drop": Domain(name="drop", kind="int", low=0, high=15),
}


@pytest.mark.parametrize(("space", "ends"), [(ENDLESS, (1, 1)), (FINITE, (2**11, 16))], ids=["endless", "finite"])
def test_fewer_points_are_spread_as_all_of_them(space: dict[str, Domain], ends: tuple[int, int]) -> None:
    drawn = sample.draw(space, {}).fewer(2**11)
    assert drawn.points == 2**11
    rate, drop = drawn.columns["rate"] / ends[0], drawn.columns["drop"] / ends[1]
    for share in (0.125, 0.25, 0.5, 0.75):
        assert [(column < share).mean() for column in (rate, drop)] == pytest.approx([share, share], abs=0.04)
    assert ((rate < 0.5) & (drop < 0.5)).mean() == pytest.approx(0.25, abs=0.04)


def test_a_small_space_is_looked_at_whole() -> None:
    drawn = sample.draw({"dim": Domain(name="dim", kind="choice", choices=(4, 8))}, {}).fewer(4096)
    assert drawn.exact
    assert sorted(drawn.columns["dim"]) == [4, 8]
