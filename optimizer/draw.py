"""One proposal: the sampler draws until the rules accept, and the reservoir helps where it cannot find the way."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from constraints import verdict as verdicts
from constraints import witness
from optimizer import campaign as campaigns
from optimizer import errors, reservoir, sampler

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


def draw(campaign: campaigns.Campaign) -> Drawn:
    """Draw the next point of a study.

    Raises:
        errors.NothingFeasible: no point of the space is accepted; the message names the rules that clash.
    """
    search = campaign.study.search
    refused: list[tuple[Mapping[str, Any], verdicts.Verdict]] = []
    first: sampler.Draw | None = None
    campaign.sketch.begin()
    try:
        for _ in range(sampler.PATIENCE.get(search.sampler, sampler.USUAL_PATIENCE)):
            drawn = campaign.sketch.draw()
            first = first or drawn
            if search.duplicates == "avoid" and campaign.history.is_tried(drawn.params):
                continue
            verdict = campaign.judge(drawn.params)
            if verdict.refused_by and search.refusals == "prune":
                return Drawn(drawn.params, drawn.notes, verdict, ((drawn.params, verdict),))
            if verdict.refused_by:
                refused.append((drawn.params, verdict))
            elif campaign.sketch.keeps(verdict.weight):
                return Drawn(drawn.params, drawn.notes, verdict, tuple(refused))
    finally:
        campaign.sketch.end()
    assert first is not None
    params = _from_reservoir(campaign, first.params if campaign.sketch.is_guided else None)
    return Drawn(params, first.notes, None, tuple(refused))


def _from_reservoir(campaign: campaigns.Campaign, wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A feasible point near the wanted one; None when each one has been tried."""
    there = campaign.reservoir
    for trial in campaign.history.running:
        there.add(trial.params)
    found = _take(campaign, wanted)
    if found is not None or there.has_any:
        return found
    solved = _solve(campaign, there)
    return solved or _take(campaign, wanted) or _nothing()


def _take(campaign: campaigns.Campaign, wanted: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    avoid = campaign.study.search.duplicates == "avoid"
    for _ in range(_AGAIN):
        found = campaign.reservoir.take(wanted, campaign.history.is_tried if avoid else lambda _: False)
        if found is None:
            return None
        if not campaign.judge(found).refused_by:
            campaign.reservoir.add(found)
            return found
    return None


def _solve(campaign: campaigns.Campaign, there: reservoir.Reservoir) -> Mapping[str, Any] | None:
    """A point that z3 solves for, if the rules accept it; otherwise its neighbourhood is known from now on."""
    study = campaign.study
    constants = {name: value for name, value in campaign.situation.facts(study.fixed).items() if name in _CONSTANT}
    said = witness.seek(campaign.rules, constants, _SECONDS)
    if said.contradiction:
        raise errors.NothingFeasible(
            f"the rules {', '.join(said.contradiction)} leave no point of the space of {study.name!r} together; loosen "
            "one of them, or widen the space (`tuneguard rules check FILE --study STUDY.yaml` shows what each refuses)"
        )
    if said.point is None:
        return None
    there.add(said.point)
    accepted = not campaign.judge(said.point).refused_by and not campaign.history.is_tried(said.point)
    return said.point if accepted else None


#: facts that are the same at every point of a study
_CONSTANT = frozenset({"gpu.count", "gpu.vram_gb", "dataset.images"})


def _nothing() -> Mapping[str, Any]:
    raise errors.NothingFeasible(
        f"none of {reservoir.MOST_POINTS} points of the space is accepted, and z3 neither found one nor proved that "
        "there is none; `tuneguard rules check FILE --study STUDY.yaml` shows what each rule refuses"
    )
