"""Points that the rules accept, found without a sampler.

Where a sampler's density sits on refused ground, or where feasible points are rare, redrawing could go on for ever
(measured: a two-objective study livelocked in 16 of 16 seeds). The reservoir finds feasible points instead: in a
quasi-random sequence over the space, by small changes to points known to be feasible, and, where neither finds any,
from a point that z3 solves for. Points are judged in blocks, without Python per point.

A sampler's preference still counts: of the points found, the one nearest to what it wanted is taken, and then moved
towards it as far as the rules allow.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from constraints.judging import conditions as conditionals
from constraints.names import domain as domains
from optimizer.study import space

#: quasi-random points that one proposal looks at before it calls feasible points rarer than that, and in which blocks
MOST_POINTS = 2**22
BLOCK = 2**14
#: a space with at most so many points is looked at whole
WHOLE = 2**16
#: feasible points that are enough to choose from
ENOUGH = 64
#: points whose neighbours are looked at
MOST_ANCHORS = 1024
#: small changes tried around known points, and how large they are: shares of a parameter's range
NEIGHBOURS = 2**12
SPREADS = (0.003, 0.03, 0.3)
#: how often a parameter of few values is drawn anew, and any other is moved: a rule may hold some where they are
REDRAWN = 0.2
MOVED = 0.5
#: points looked at between a feasible point and the one that is wanted
STEPS = 32

CubePoints: TypeAlias = npt.NDArray[np.float64]
Columns: TypeAlias = Mapping[str, npt.NDArray[Any]]
#: columns of shape (points,) to each point's weight, shape (points,): 0 where refused, 1 where no soft rule applies
Weigh: TypeAlias = Callable[[Columns], npt.NDArray[np.float64]]
#: whether a point has been tried, so that it must not come again
IsTried: TypeAlias = Callable[[Mapping[str, Any]], bool]


@dataclasses.dataclass(frozen=True)
class FeasiblePoints:
    """Feasible points as rows of the unit cube, shape (points, parameters), and their weights, shape (points,)."""

    rows: CubePoints
    weights: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)

    def joined(self, other: "FeasiblePoints") -> "FeasiblePoints":
        """Both sets of points."""
        return FeasiblePoints(np.concatenate([self.rows, other.rows]), np.concatenate([self.weights, other.weights]))


class Reservoir:
    """Feasible points of one space under one set of rules. Not thread-safe."""

    def __init__(
        self, parameters: Mapping[str, domains.Domain], fixed: Mapping[str, Any], weigh: Weigh, seed: int
    ) -> None:
        self._parameters = parameters
        self._fixed = fixed
        self._conditions = conditionals.Conditions(parameters, fixed)
        self._weigh = weigh
        self._chance = np.random.default_rng(seed)
        self._sequence = qmc.Sobol(d=len(parameters), scramble=True, rng=seed)
        self._anchors: CubePoints = np.empty((0, len(parameters)))
        self._whole: FeasiblePoints | None = None
        #: blocks of the sequence since one that held a feasible point
        self._empty_blocks = 0
        #: whether any feasible point was found, tried or not
        self.has_any = False

    def add(self, params: Mapping[str, Any]) -> None:
        """A point that is, or may be, close to feasible ones: its neighbours are looked at when points are rare."""
        self._anchor(space.unit_row(params, self._parameters)[None, :])

    def take(self, wanted: Mapping[str, Any] | None, is_tried: IsTried) -> dict[str, Any] | None:
        """A feasible point that has not been tried, or None when none was found.

        Args:
            wanted: what the sampler would have liked, or None when any point will do.
        """
        for found in self._search(chosen=wanted is not None):
            self.has_any = self.has_any or len(found) > 0
            point = self._choose(found, wanted, is_tried)
            if point is not None:
                return point
        return None

    def shuffled(self, names: Iterable[str]) -> list[str]:
        """Names in an order that follows from the seed."""
        listed = list(names)
        return [listed[at] for at in self._chance.permutation(len(listed))]

    @property
    def is_whole(self) -> bool:
        """Whether every point of the space is looked at, so that what is not found does not exist."""
        return math.prod(domain.points() for domain in self._parameters.values()) <= WHOLE

    @property
    def is_in_vain(self) -> bool:
        """Whether a whole look at the sequence showed nothing, so that the next one is worth less than other ways."""
        return self._empty_blocks >= MOST_POINTS // BLOCK

    def _search(self, *, chosen: bool) -> Iterator[FeasiblePoints]:
        """Feasible points, those that are found at once first; where one is to be chosen, some to choose from."""
        if self.is_whole:
            yield self._all()
            return
        gathered = self._next_block()
        if len(gathered) >= (ENOUGH if chosen else 1):
            yield gathered
        if (chosen or self.is_in_vain) and len(self._anchors):
            gathered = gathered.joined(self._neighbours())
            yield gathered
        for _ in range(MOST_POINTS // BLOCK - 1):
            block = self._next_block()
            if len(block):
                gathered = gathered.joined(block)
                yield gathered.joined(self._neighbours()) if chosen else gathered
        if len(self._anchors):
            yield self._neighbours()

    def _next_block(self) -> FeasiblePoints:
        found = self._feasible(self._sequence.random(BLOCK))
        self._empty_blocks = 0 if len(found) else self._empty_blocks + 1
        self._anchor(found.rows[:ENOUGH])
        return found

    def _neighbours(self) -> FeasiblePoints:
        """Feasible points around the anchors: each number moved a little, each choice changed now and then."""
        rows = self._anchors[self._chance.integers(len(self._anchors), size=NEIGHBOURS)]
        few = np.array([domain.points() <= ENOUGH for domain in self._parameters.values()])
        spread = self._chance.choice(SPREADS, size=(NEIGHBOURS, 1))
        moved = rows + spread * self._chance.standard_normal(rows.shape)
        redrawn = self._chance.random(rows.shape)
        changes = self._chance.random(rows.shape) < np.where(few, REDRAWN, MOVED)
        changed = np.where(changes, np.where(few, redrawn, _inside(moved)), rows)
        return self._feasible(np.concatenate([self._anchors, changed]))

    def _all(self) -> FeasiblePoints:
        """Every feasible point of a small finite space."""
        if self._whole is None:
            shares = [
                [space.share_of(domain, value) for value in domain.grid()] for domain in self._parameters.values()
            ]
            grids = np.meshgrid(*shares, indexing="ij")
            self._whole = self._feasible(np.stack([grid.ravel() for grid in grids], axis=1))
        return self._whole

    def _choose(
        self, found: FeasiblePoints, wanted: Mapping[str, Any] | None, is_tried: IsTried
    ) -> dict[str, Any] | None:
        """The point nearest to the wanted one, or any; a soft rule's weight is its chance to be taken."""
        if wanted is None:
            order = self._chance.permutation(len(found))
        else:
            aim = space.unit_row(wanted, self._parameters)
            order = np.argsort(self._distances(found.rows, aim), kind="stable")
        lucky = self._chance.random(len(found)) < found.weights[order]
        # those whose chance did not come are better than none
        for at in np.concatenate([order[lucky], order[~lucky]]):
            row = found.rows[at] if wanted is None else self._towards(found.rows[at], aim)
            for candidate in (row, found.rows[at]):
                point = space.unit_point(candidate, self._parameters, self._conditions, self._fixed)
                if not is_tried(point):
                    return point
        return None

    def _distances(self, rows: CubePoints, aim: CubePoints) -> npt.NDArray[np.float64]:
        """City-block distance to a point, shape (points,); two choices are as far apart as the ends of a range."""
        choice = np.array([domain.kind == "choice" for domain in self._parameters.values()])
        gap = np.abs(rows - aim)
        distances: npt.NDArray[np.float64] = np.where(choice, self._differs(rows, aim), gap).sum(axis=1)
        return distances

    def _differs(self, rows: CubePoints, aim: CubePoints) -> npt.NDArray[np.bool_]:
        counts = np.array([min(domain.points(), 2**53) for domain in self._parameters.values()])
        differs: npt.NDArray[np.bool_] = np.floor(rows * counts) != np.floor(aim * counts)
        return differs

    def _towards(self, row: CubePoints, aim: CubePoints) -> CubePoints:
        """The last feasible point on the way from a feasible one to the wanted one; choices stay."""
        numbers = np.array([domain.kind != "choice" for domain in self._parameters.values()])
        way = np.linspace(1.0, 0.0, STEPS)[:, None]
        between = np.where(numbers, row + way * (aim - row), row)
        weights = self._weigh(space.unit_columns(between, self._parameters, self._conditions, self._fixed))
        weights[-1] = max(weights[-1], 1e-300)  # the point itself is known to be feasible
        full = np.flatnonzero(weights >= weights[-1])
        last: CubePoints = between[full[0]]
        return last

    def _feasible(self, rows: CubePoints) -> FeasiblePoints:
        weights = self._weigh(space.unit_columns(rows, self._parameters, self._conditions, self._fixed))
        hits = weights > 0
        return FeasiblePoints(rows[hits], weights[hits])

    def _anchor(self, rows: CubePoints) -> None:
        """Remember points whose neighbours may be feasible, the latest of them."""
        self._anchors = np.concatenate([self._anchors, rows])[-MOST_ANCHORS:]


def _inside(rows: CubePoints) -> CubePoints:
    """Rows reflected at the ends of the unit cube and kept below 1."""
    folded = np.abs(np.mod(rows + 1.0, 2.0) - 1.0)
    return np.minimum(folded, space.LAST)
