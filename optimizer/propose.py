"""From a study to the next trial to run: taken up, enqueued by a person, repeated, or freshly drawn under the rules.

The order matters: work that was begun is finished first, then what people asked for, then the search goes on. Claiming
happens under one lock per study, so that no two workers hold the same trial and the budget is never overdrawn; drawing,
which takes longest, happens outside it.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from constraints import verdict as verdicts
from optimizer import campaign as campaigns
from optimizer import draw, enqueued, records, space
from optimizer import study as studies
from storage import leases, refusals

logger = logging.getLogger(__name__)

State = optuna.trial.TrialState


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this worker alone may run and tell.

    Attributes:
        params: complete: fixed and sampled.
        seed: of its training; a repeat has another one than the trial it repeats.
        same_as: a trial of the same point and seed that has ended: its result is this one's, nothing needs to be run.
    """

    number: int
    params: Mapping[str, Any]
    lease: leases.Lease
    taken_up: bool
    seed: int
    same_as: optuna.trial.FrozenTrial | None = None


@dataclasses.dataclass(frozen=True)
class Refused:
    """A point that the rules refused; `number` is its PRUNED trial, where it has one."""

    params: Mapping[str, Any]
    verdict: verdicts.Verdict
    number: int | None


def claim(campaign: campaigns.Campaign) -> Claim | Refused | None:
    """The next thing to do: a trial to run, a refusal that took a trial's place, or None when there is nothing left.

    Raises:
        errors.NothingFeasible: the rules leave no point.
    """
    campaign.refresh_rules()
    campaign.look()
    taken = take_up(campaign)
    if taken is not None:
        return taken
    popped = _pop(campaign) if campaign.search.history.waiting else None
    return popped or (_search(campaign) if spent(campaign) < campaign.budget else None)


def _search(campaign: campaigns.Campaign) -> Claim | Refused | None:
    """The next trial that the search itself wants; None when nothing is left to try."""
    repeat = campaign.search.history.next_repeat()
    if repeat is not None:
        return _start(campaign, draw.Drawn(repeat[0]), {records.REPEAT: repeat[1]})
    drawn = draw.draw(campaign.search)
    _count(campaign, drawn.refused)
    if drawn.params is None:
        logger.info("every feasible point of the space has been tried", extra={"study": campaign.study.name})
        return None
    if drawn.verdict is not None and drawn.verdict.refused_by:
        return _prune(campaign, drawn.params, drawn.verdict)
    return _start(campaign, drawn, {})


def spent(campaign: campaigns.Campaign) -> int:
    """Trials that count towards the budget: all rows under `prune`, those that trained or train under `resample`."""
    rows = campaign.search.history.rows
    return rows if campaign.study.search.refusals == "prune" else rows - campaign.search.history.free


def take_up(campaign: campaigns.Campaign) -> Claim | None:
    """A begun trial that nobody works on any more: its worker stopped, or was silent longer than its lease."""
    begun = {trial.number: trial for trial in campaign.search.history.running if trial.params}
    free = leases.free(campaign.database, campaign.study_id, list(begun)) if begun else []
    if not free:
        return None
    with campaign.lock():
        for number in free:
            lease = campaign.lease(number)
            if lease is None:
                continue
            if number in {trial.number for trial in campaign.trials((State.RUNNING,))}:
                logger.info("trial %d is taken up again", number, extra={"trial": number})
                return _claim(campaign, begun[number], lease, taken_up=True)
            # told by its last holder between our look and the lease
            campaign.release(lease)
    return None


def _start(campaign: campaigns.Campaign, drawn: draw.Drawn, attributes: Mapping[str, Any]) -> Claim | None:
    """Write an accepted point as a running trial and hold it, unless the budget was spent meanwhile."""
    assert drawn.params is not None
    said = {records.RULE_VERSION: campaign.rule_version, **attributes}
    with campaign.lock():
        campaign.look()
        if spent(campaign) >= campaign.budget:
            return None
        number = campaign.create_trial(drawn.params, drawn.notes, said)
        lease = campaign.lease(number)
    assert lease is not None, f"trial {number} was made under the lock, and somebody else holds it"
    params = studies.complete(campaign.study, drawn.params)
    return Claim(number, params, lease, taken_up=False, seed=_seed(campaign, params, said))


def _prune(campaign: campaigns.Campaign, params: Mapping[str, Any], verdict: verdicts.Verdict) -> Refused:
    """Write a refused draw as a PRUNED trial with its violations, as the source experiment did."""
    with campaign.lock():
        campaign.optuna_study.add_trial(
            optuna.trial.create_trial(
                state=State.PRUNED,
                params=dict(params),
                distributions={name: space.distribution(campaign.study.space[name]) for name in params},
                user_attrs=attributes(verdict, campaign),
                constraints=dict(verdict.violations),
            )
        )
        number = campaign.trials()[-1].number
    return Refused(params, verdict, number)


def attributes(verdict: verdicts.Verdict, campaign: campaigns.Campaign) -> dict[str, Any]:
    """What a trial row says about its judgement."""
    said: dict[str, Any] = {records.RULE_VERSION: campaign.rule_version}
    if verdict.refused_by:
        said[records.REFUSED_BY] = list(verdict.refused_by)
    return said


def _pop(campaign: campaigns.Campaign) -> Claim | Refused | None:
    """Take the oldest waiting trial, whoever put it there; a point that a person enqueued is judged like any other."""
    with campaign.lock():
        waiting = {trial.number: trial for trial in campaign.trials((State.WAITING,))}
        if not waiting:
            return None
        trial = campaign.optuna_study.ask()
        params = enqueued.complete(campaign, trial, waiting[trial.number])
        lease = campaign.lease(trial.number)
    verdict = campaign.judge(params)
    for key, value in attributes(verdict, campaign).items():
        trial.set_user_attr(key, value)
    if not verdict.refused_by:
        assert lease is not None
        frozen = next(each for each in campaign.trials((State.RUNNING,)) if each.number == trial.number)
        return _claim(campaign, frozen, lease, taken_up=False)
    for rule, violation in verdict.violations.items():
        trial.set_constraint(rule, violation)
    campaign.optuna_study.tell(trial, state=State.PRUNED)
    campaign.release(lease)
    _count(campaign, [(params, verdict)], source="enqueued")
    return Refused(params, verdict, trial.number)


def _claim(
    campaign: campaigns.Campaign, trial: optuna.trial.FrozenTrial, lease: leases.Lease, *, taken_up: bool
) -> Claim:
    params = studies.complete(campaign.study, trial.params)
    seed = _seed(campaign, params, trial.user_attrs)
    same = None
    if not taken_up and campaign.study.search.duplicates == "avoid":
        outcomes = campaign.search.history.outcomes(trial.params)
        same = next((each for each in outcomes if _seed(campaign, params, each.user_attrs) == seed), None)
    return Claim(trial.number, params, lease, taken_up, seed, same)


def _seed(campaign: campaigns.Campaign, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> int:
    return int(params.get("seed", campaign.study.search.seed)) + int(attributes.get(records.REPEAT, 0))


def _count(
    campaign: campaigns.Campaign,
    refused: Sequence[tuple[Mapping[str, Any], verdicts.Verdict]],
    source: refusals.Source = "sampled",
) -> None:
    """Keep refusals in our own table, in one statement, and show them."""
    if not refused:
        return
    kept = [
        refusals.Refusal(
            rule_version_id=campaign.version_of(verdict.refused_by),
            params=dict(params),
            refused_by=tuple(verdict.refused_by),
            violations=dict(verdict.violations),
            source=source,
        )
        for params, verdict in refused
    ]
    refusals.record(campaign.database, campaign.study_id, kept)
    campaign.observer.refused(tuple(verdict for _, verdict in refused))
