"""From a study to the next trial to run: taken up, enqueued by a person, repeated, or freshly drawn under the rules.

The order matters: work that was begun is finished first, then what people asked for, then the search goes on. Claiming
happens under one lock per study, so that no two workers hold the same trial and the budget is never overdrawn; drawing,
which takes longest, happens outside it. So whatever was decided outside is looked at again inside.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import sqlalchemy as sa

from constraints.judging import verdict as verdicts
from optimizer.designs.search import draw
from optimizer.results import records
from optimizer.rules import judgement
from optimizer.study import resolved as studies
from optimizer.trials import campaign as campaigns
from optimizer.trials import enqueued
from storage import errors as storage_errors
from storage import leases, refusals

logger = logging.getLogger(__name__)

#: proposals that may be overtaken before the next one is drawn under the lock
_RACES = 8

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
        storage.errors.StudyGone: the study was deleted in optuna-dashboard.
    """
    campaign.look()
    taken = take_up(campaign)
    if taken is not None:
        return taken
    popped = _pop(campaign) if campaign.search.history.waiting else None
    return popped or (_search(campaign) if spent(campaign) < campaign.budget else None)


def _search(campaign: campaigns.Campaign) -> Claim | Refused | None:
    """The next trial that the search itself wants; None when nothing is left to try."""
    if campaign.search.history.next_repeat() is not None:
        repeat = _repeat(campaign)
        if repeat is not None:
            return repeat
    for _ in range(_RACES):
        drawn = draw.draw(campaign.search)
        try:
            return _write(campaign, drawn)
        except Lost:
            logger.debug("what was drawn was overtaken; drawing again")
        finally:
            _tell(campaign, drawn)
    # others were quicker each time; where they have to wait, nothing that is drawn can be lost
    with campaign.claiming() as connection:
        if spent(campaign) >= campaign.budget:
            return None
        drawn = draw.draw(campaign.search)
        found = _begin(campaign, connection, drawn)
    _tell(campaign, drawn)
    return found


def _tell(campaign: campaigns.Campaign, drawn: draw.Drawn) -> None:
    campaign.observer.refused(tuple(verdict for _, verdict in drawn.refused))
    if drawn.params is None:
        logger.info("every feasible point of the space has been tried", extra={"study": campaign.study.name})


def _repeat(campaign: campaigns.Campaign) -> Claim | None:
    """Train a point again; which one is decided where nobody else decides. None where no point is to be repeated."""
    with campaign.claiming() as connection:
        while (repeat := campaign.search.history.next_repeat()) is not None and spent(campaign) < campaign.budget:
            params, number = repeat
            if not campaign.judge(params).refused_by:
                return _run(campaign, connection, draw.Drawn(params), {records.REPEAT: number})
            campaign.search.history.spare(params)  # newer rules refuse it
    return None


def spent(campaign: campaigns.Campaign) -> int:
    """Trials that count towards the budget: all rows under `prune`, those that trained or train under `resample`."""
    rows = campaign.search.history.rows
    return rows if campaign.study.search.refusals == "prune" else rows - campaign.search.history.free


def take_up(campaign: campaigns.Campaign) -> Claim | None:
    """A begun trial that nobody works on any more: its worker stopped, or was silent longer than its lease."""
    history = campaign.search.history
    begun = [trial.number for trial in history.running if history.is_whole(trial.params)]
    free = leases.free(campaign.database, campaign.study_id, begun) if begun else []
    if not free:
        return None
    with campaign.claiming() as connection:
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


class Lost(Exception):
    """What was drawn was overtaken while it was drawn: another worker has the point, or newer rules refuse it."""


def _write(campaign: campaigns.Campaign, drawn: draw.Drawn) -> Claim | Refused | None:
    """Write what a proposal came to, unless the budget was spent meanwhile.

    Whatever was decided outside of the lock is looked at again: point, budget, rules, and the study itself.

    Raises:
        Lost: the point is none to begin any more.
    """
    rules = campaign.rule_version
    refused = list(drawn.refused)
    try:
        with campaign.claiming() as connection:
            if drawn.params is not None and spent(campaign) < campaign.budget:
                if rules != campaign.rule_version:
                    drawn = dataclasses.replace(drawn, verdict=campaign.judge(drawn.params))
                if not _is_overtaken(campaign, drawn):
                    return _begin(campaign, connection, drawn)
            _keep(campaign, connection, refused, "sampled")
            if drawn.params is None or spent(campaign) >= campaign.budget:
                return None
    except storage_errors.StudyGone:
        raise
    except storage_errors.NotFound as error:  # renamed at this very moment; the next look follows it
        raise Lost from error
    raise Lost


def _is_overtaken(campaign: campaigns.Campaign, drawn: draw.Drawn) -> bool:
    assert drawn.params is not None
    refused = drawn.verdict is not None and bool(drawn.verdict.refused_by)
    if refused:
        return campaign.study.search.refusals != "prune"
    return campaign.search.is_known(drawn.params)


def _begin(campaign: campaigns.Campaign, connection: sa.Connection, drawn: draw.Drawn) -> Claim | Refused | None:
    """Write a proposal whose point is this worker's to begin.

    An accepted point is a running trial that this worker holds; a refused one stands here only under
    `refusals: prune`, and is a PRUNED trial with its violations, as the source experiment had them.
    """
    _keep(campaign, connection, drawn.refused, "sampled")
    if drawn.params is None:
        return None
    if drawn.verdict is not None and drawn.verdict.refused_by:
        return _prune(campaign, connection, drawn.params, drawn.verdict)
    return _run(campaign, connection, drawn, {})


def _run(
    campaign: campaigns.Campaign, connection: sa.Connection, drawn: draw.Drawn, attributes: Mapping[str, Any]
) -> Claim:
    assert drawn.params is not None
    said = {records.RULE_VERSION: campaign.rule_version, **attributes}
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
    """Take the oldest waiting trial, whoever put it there; a point that a person enqueued is judged like any other.

    One whose very training is going on somewhere waits for what that comes to.
    """
    try:
        with campaign.claiming() as connection:
            for waiting in campaign.search.history.waiting:
                params = enqueued.complete(campaign, waiting)
                if not _is_being_trained(campaign, params):
                    return _take(campaign, connection, waiting, params)
    except storage_errors.TrialEnded:  # told in optuna-dashboard at this very moment
        logger.info("a waiting trial was told by somebody else", extra={"study": campaign.study.name})
    return None


def _is_being_trained(campaign: campaigns.Campaign, params: Mapping[str, Any]) -> bool:
    return campaign.study.search.duplicates == "avoid" and 0 in campaign.search.history.being_trained(params)


def _take(
    campaign: campaigns.Campaign,
    connection: sa.Connection,
    waiting: optuna.trial.FrozenTrial,
    params: Mapping[str, Any],
) -> Claim | Refused:
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
    return int(params.get("seed", campaign.study.search.seed)) + records.repeat_of(attributes)


def _keep(
    campaign: campaigns.Campaign,
    connection: sa.Connection,
    refused: Sequence[tuple[Mapping[str, Any], verdicts.Verdict]],
    source: refusals.RefusalSource,
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
