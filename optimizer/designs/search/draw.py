"""One proposal: the sampler draws until the rules accept, and the reservoir helps where it cannot find the way."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from constraints.judging import verdict as verdicts
from constraints.proving import witness
from optimizer import errors
from optimizer.designs.search import reservoir
from optimizer.designs.search import search as searches
from optimizer.designs.search import sketch as sampler

#: points of the reservoir that may turn out refused when they are judged one by one (a last digit rounded differently)
_AGAIN = 8
#: seconds that z3 may look for a feasible point, and for a proof that there is none
_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What a proposal came to.

    Attributes:
        params: the point, or None when every feasible point has been tried.
        notes: what the sampler keeps with its trial.
        verdict: of the point; a refused one stands here only where refused draws become trials (`refusals: prune`).
        refused: every other draw that the rules refused on the way, with its verdict.
    """

    params: Mapping[str, Any] | None
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    verdict: verdicts.Verdict | None = None
    refused: tuple[tuple[Mapping[str, Any], verdicts.Verdict], ...] = ()


def draw(search: searches.Search) -> Drawn:
    """Draw the next point of a study.

    Raises:
        errors.NothingFeasible: no point of the space is accepted; the message names the rules that clash.
    """
    wishes = search.study.search
    refused: list[tuple[Mapping[str, Any], verdicts.Verdict]] = []
    first: sampler.Draw | None = None
    search.sketch.begin()
    try:
        for _ in range(search.patience):
            drawn = search.sketch.draw()
            first = first or drawn
            if search.is_known(drawn.params):
                continue
            verdict = search.judge(drawn.params)
            if verdict.refused_by and wishes.refusals == "prune":
                return Drawn(drawn.params, drawn.notes, verdict, ((drawn.params, verdict),))
            if verdict.refused_by:
                refused.append((drawn.params, verdict))
            elif search.sketch.keeps(verdict.weight):
                search.gain_patience()
                return Drawn(drawn.params, drawn.notes, verdict, tuple(refused))
    finally:
        search.sketch.end()
    assert first is not None
    search.lose_patience()
    params = _beside(search, first.params)
    if params is None:
        params = _from_reservoir(search, first.params if search.sketch.is_guided else None)
    return Drawn(params, first.notes, None, tuple(refused))


def _beside(search: searches.Search, wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A feasible point that shares with the wanted one what it can, where sampling shows none.

    Rules that tie one float to others leave no volume to sample. Small changes of a known point never move two tied
    parameters together, so that z3 is asked at each proposal. Which values are held first is left to chance.
    """
    if not search.reservoir.is_in_vain:
        return None
    solved = witness.near(search.rules, _constants(search), wanted, search.reservoir.shuffled(wanted))
    if solved is None or search.is_known(solved) or search.judge(solved).refused_by:
        return None
    search.reservoir.add(solved)
    return solved


def _from_reservoir(search: searches.Search, wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A feasible point near the wanted one; None when each one has been tried."""
    there = search.reservoir
    for trial in search.history.running:
        there.add(trial.params)
    found = _take(search, wanted)
    if found is not None or there.has_any:
        return found
    solved = _solve(search, there)
    if solved is None and not there.is_whole:
        solved = _take(search, wanted)
    if solved is None:
        raise errors.NothingFeasible(_nothing(there))
    return solved


def _take(search: searches.Search, wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    for _ in range(_AGAIN):
        found = search.reservoir.take(wanted, search.is_known)
        if found is None:
            return None
        if not search.judge(found).refused_by:
            search.reservoir.add(found)
            return found
    return None


def _solve(search: searches.Search, there: reservoir.Reservoir) -> Mapping[str, Any] | None:
    """A point that z3 solves for, if the rules accept it; otherwise its neighbourhood is known from now on."""
    study = search.study
    said = witness.seek(search.rules, _constants(search), _SECONDS)
    if said.contradiction:
        raise errors.NothingFeasible(
            f"the rules {', '.join(said.contradiction)} leave no point of the space of {study.name!r} together; loosen "
            "one of them, or widen the space (`tuneguard rules check FILE --study STUDY.yaml` shows what each refuses)"
        )
    if said.point is None:
        return None
    there.add(said.point)
    accepted = not search.judge(said.point).refused_by and not search.history.is_tried(said.point)
    return said.point if accepted else None


def _constants(search: searches.Search) -> dict[str, Any]:
    known = search.situation.facts(search.study.fixed)
    return {name: value for name, value in known.items() if name in _CONSTANT}


#: facts that are the same at every point of a study
_CONSTANT = frozenset({"gpu.count", "gpu.vram_gb", "dataset.images"})


def _nothing(there: reservoir.Reservoir) -> str:
    """What to say where no point was found and no rules were proved to clash."""
    looked = "no point" if there.is_whole else f"none of {reservoir.MOST_POINTS} points"
    open_ = "" if there.is_whole else ", and z3 neither found one nor proved that there is none"
    return (
        f"{looked} of the space is accepted{open_}; loosen a rule, or widen the space "
        "(`tuneguard rules check FILE --study STUDY.yaml` shows what each rule refuses)"
    )
