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
import sqlalchemy as sa

from constraints import verdict as verdicts
from optimizer import campaign as campaigns
from optimizer import draw, enqueued, judgement, records
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

    @property
    def told(self) -> dict[str, Any]:
        """What the trainer is told: the parameters, with this training's own seed where a study sets one itself."""
        return {**self.params, "seed": self.seed} if "seed" in self.params else dict(self.params)


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
        return _write(campaign, draw.Drawn(repeat[0]), {records.REPEAT: repeat[1]})
    drawn = draw.draw(campaign.search)
    found = _write(campaign, drawn, {})
    campaign.observer.refused(tuple(verdict for _, verdict in drawn.refused))
    if drawn.params is None:
        logger.info("every feasible point of the space has been tried", extra={"study": campaign.study.name})
    return found


def spent(campaign: campaigns.Campaign) -> int:
    """Trials that count towards the budget: all rows under `prune`, those that trained or train under `resample`."""
    rows = campaign.search.history.rows
    return rows if campaign.study.search.refusals == "prune" else rows - campaign.search.history.free


def take_up(campaign: campaigns.Campaign) -> Claim | None:
    """A begun trial that nobody works on any more: its worker stopped, or was silent longer than its lease."""
    begun = [trial.number for trial in campaign.search.history.running if trial.params]
    free = leases.free(campaign.database, campaign.study_id, begun) if begun else []
    if not free:
        return None
    with campaign.lock() as connection:
        for number in free:
            lease = campaign.lease(connection, number)
            if lease is None:
                continue
            trial = campaign.look_at_trials(connection)[number]
            if trial.state is State.RUNNING:
                logger.info("trial %d is taken up again", number, extra={"trial": number})
                return _claim(campaign, trial, lease, taken_up=True)
            # told by its last holder between our look and the lease
            leases.give_back(connection, lease)
    return None


def _write(campaign: campaigns.Campaign, drawn: draw.Drawn, attributes: Mapping[str, Any]) -> Claim | Refused | None:
    """Write what a proposal came to, unless the budget was spent meanwhile.

    An accepted point is a running trial that this worker holds; a refused one stands here only under
    `refusals: prune`, and is a PRUNED trial with its violations, as the source experiment had them.
    """
    said = {records.RULE_VERSION: campaign.rule_version, **attributes}
    with campaign.lock() as connection:
        _keep(campaign, connection, drawn.refused, "sampled")
        campaign.look_at_trials(connection)
        if drawn.params is None or spent(campaign) >= campaign.budget:
            return None
        if drawn.verdict is not None and drawn.verdict.refused_by:
            return _prune(campaign, connection, drawn.params, drawn.verdict)
        number = campaign.add_trial(connection, State.RUNNING, drawn.params, notes=drawn.notes, attributes=said)
        lease = campaign.lease(connection, number)
    assert lease is not None, f"trial {number} was made under the lock, and somebody else holds it"
    params = studies.complete(campaign.study, drawn.params)
    return Claim(number, params, lease, taken_up=False, seed=_seed(campaign, params, said))


def _prune(
    campaign: campaigns.Campaign, connection: sa.Connection, params: Mapping[str, Any], verdict: verdicts.Verdict
) -> Refused:
    number = campaign.add_trial(
        connection,
        State.PRUNED,
        params,
        attributes=attributes(verdict, campaign),
        constraints=verdict.violations,
    )
    return Refused(params, verdict, number)


def attributes(verdict: verdicts.Verdict, campaign: campaigns.Campaign) -> dict[str, Any]:
    """What a trial row says about its judgement."""
    said: dict[str, Any] = {records.RULE_VERSION: campaign.rule_version}
    if verdict.refused_by:
        said[records.REFUSED_BY] = list(verdict.refused_by)
        if judgement.UNTRAINABLE in verdict.undecided:
            said["message"] = verdict.undecided[judgement.UNTRAINABLE]
    return said


def _pop(campaign: campaigns.Campaign) -> Claim | Refused | None:
    """Take the oldest waiting trial, whoever put it there; a point that a person enqueued is judged like any other."""
    with campaign.lock() as connection:
        campaign.look_at_trials(connection)
        waiting = next(iter(campaign.search.history.waiting), None)
        if waiting is None:
            return None
        params = enqueued.complete(campaign, waiting)
        verdict = campaign.judge(params)
        said = attributes(verdict, campaign)
        if not verdict.refused_by:
            campaign.begin_trial(connection, waiting.number, params, said)
            lease = campaign.lease(connection, waiting.number)
            assert lease is not None, f"trial {waiting.number} was waiting, and somebody holds it"
            trial = campaign.look_at_trials(connection)[waiting.number]
            return _claim(campaign, trial, lease, taken_up=False)
        campaign.end_trial(
            connection, waiting.number, State.PRUNED, params=params, attributes=said, constraints=verdict.violations
        )
        _keep(campaign, connection, [(params, verdict)], "enqueued")
    campaign.observer.refused((verdict,))
    return Refused(params, verdict, waiting.number)


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


def _keep(
    campaign: campaigns.Campaign,
    connection: sa.Connection,
    refused: Sequence[tuple[Mapping[str, Any], verdicts.Verdict]],
    source: refusals.Source,
) -> None:
    """Keep refusals in our own table, in one statement."""
    kept = [
        refusals.Refusal(
            rule_version_ids=campaign.rule_version_ids,
            params=dict(params),
            refused_by=tuple(verdict.refused_by),
            violations=dict(verdict.violations),
            source=source,
        )
        for params, verdict in refused
    ]
    refusals.record(connection, campaign.study_id, kept)
