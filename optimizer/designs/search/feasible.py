"""Feasible points where a sampler does not find any: near what it wanted, from a reservoir or solved for."""

from collections.abc import Callable, Mapping
from typing import Any

from constraints.proving import witness
from optimizer import errors
from optimizer.designs import design, judgement
from optimizer.designs.search import reservoir as reservoirs

#: points of the reservoir that may turn out refused when they are judged one by one (a last digit rounded differently)
_AGAIN = 8
#: seconds that z3 may look for a feasible point, and for a proof that there is none
_SECONDS = 5.0
#: why nothing is left to try; only the first is certain
_ALL_TRIED = "every feasible point of the space has been tried"
_NONE_SEEN = f"each feasible point that was seen among {reservoirs.MOST_POINTS:,} has been tried; there may be others"
_REFUSED_AGAIN = "points that were feasible in a table were refused when they were judged alone; there may be others"

#: facts that are the same at every point of a study
_CONSTANT = frozenset({"gpu.count", "gpu.vram_gb", "dataset.images"})


class Feasible:
    """Points that one admission accepts.

    Args:
        admission: what is feasible.
        is_tried: whether a point has an outcome or is being trained.
        avoids_tried: whether such a point must not come again.
        seed: all chance in here follows from it.
    """

    def __init__(
        self,
        admission: judgement.Admission,
        is_tried: Callable[[Mapping[str, Any]], bool],
        *,
        avoids_tried: bool,
        seed: int,
    ) -> None:
        self._admission = admission
        self._is_tried = is_tried
        self._is_known = is_tried if avoids_tried else _never
        study = admission.study
        self.reservoir = reservoirs.Reservoir(study.space, study.fixed, admission.weigh, seed)

    def beside(self, wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """A feasible point that shares with the wanted one what it can, where sampling shows none.

        Rules that tie one float to others leave no volume to sample. Small changes of a known point never move two tied
        parameters together, so that z3 is asked at each proposal. Which values are held first is left to chance.
        """
        if not self.reservoir.is_in_vain:
            return None
        rules = self._admission.rules
        solved = witness.near(rules, self._constants(), wanted, self.reservoir.shuffled(wanted))
        if solved is None or self._is_known(solved) or self._admission.judge(solved).refused_by:
            return None
        self.reservoir.add(solved)
        return solved

    def near(self, wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | design.Exhausted:
        """A feasible point near the wanted one, or any, that has not been tried.

        Raises:
            errors.NothingFeasible: no point of the space is accepted; the message names the rules that clash.
        """
        found = self._take(wanted)
        if self.reservoir.has_any:
            return found
        solved = self._solve()
        if solved is None and not self.reservoir.is_whole:
            found = self._take(wanted)
            solved = None if isinstance(found, design.Exhausted) else found
        if solved is None:
            raise errors.NothingFeasible(_nothing(self.reservoir))
        return solved

    def _take(self, wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | design.Exhausted:
        """A point of the reservoir; where there is none, why, and whether that is certain."""
        for _ in range(_AGAIN):
            found = self.reservoir.take(wanted, self._is_known)
            if found is None:
                return design.Exhausted(_ALL_TRIED if self.reservoir.is_whole else _NONE_SEEN)
            if not self._admission.judge(found).refused_by:
                self.reservoir.add(found)
                return found
        return design.Exhausted(_REFUSED_AGAIN)

    def _solve(self) -> Mapping[str, Any] | None:
        """A point that z3 solves for, if the rules accept it; otherwise its neighbourhood is known from now on."""
        said = witness.seek(self._admission.rules, self._constants(), _SECONDS)
        if said.contradiction:
            raise errors.NothingFeasible(
                f"the rules {', '.join(said.contradiction)} leave no point of the space of "
                f"{self._admission.study.name!r} together; loosen one of them, or widen the space "
                "(`tuneguard rules check FILE --study STUDY.yaml` shows what each refuses)"
            )
        if said.point is None:
            return None
        self.reservoir.add(said.point)
        accepted = not self._admission.judge(said.point).refused_by and not self._is_tried(said.point)
        return said.point if accepted else None

    def _constants(self) -> dict[str, Any]:
        known = self._admission.situation.facts(self._admission.study.fixed)
        return {name: value for name, value in known.items() if name in _CONSTANT}


def _never(_: Mapping[str, Any]) -> bool:
    return False


def _nothing(there: reservoirs.Reservoir) -> str:
    """What to say where no point was found and no rules were proved to clash."""
    looked = "no point" if there.is_whole else f"none of {reservoirs.MOST_POINTS} points"
    open_ = "" if there.is_whole else ", and z3 neither found one nor proved that there is none"
    return (
        f"{looked} of the space is accepted{open_}; loosen a rule, or widen the space "
        "(`tuneguard rules check FILE --study STUDY.yaml` shows what each rule refuses)"
    )
