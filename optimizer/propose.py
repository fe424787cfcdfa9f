"""From a study to the next trial to run: taken up, enqueued by a person, or freshly drawn and accepted by the rules.

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
from optimizer import records, sampler, space
from optimizer import study as studies
from storage import leases, refusals

logger = logging.getLogger(__name__)

State = optuna.trial.TrialState


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this worker alone may run and tell. `params` are complete: fixed and sampled."""

    number: int
    params: Mapping[str, Any]
    lease: leases.Lease
    taken_up: bool


@dataclasses.dataclass(frozen=True)
class Refused:
    """A point that the rules refused; `number` is its PRUNED trial, where it has one."""

    params: Mapping[str, Any]
    verdict: verdicts.Verdict
    number: int | None


def claim(campaign: campaigns.Campaign) -> Claim | Refused | None:
    """The next thing to do: a trial to run, a refusal that took a trial's place, or None when the budget is spent."""
    campaign.refresh_rules()
    taken = take_up(campaign)
    if taken is not None:
        return taken
    if not campaign.trials((State.WAITING,)) and spent(campaign) < campaign.budget:
        drawn = draw(campaign)
        if isinstance(drawn, Refused):
            return drawn
        campaign.offer(drawn)
    return _pop(campaign)


def spent(campaign: campaigns.Campaign) -> int:
    """Trials that count towards the budget: all rows under `prune`, those that trained or train under `resample`.

    Waiting trials do not count yet, so points that a person enqueues are part of what `--trials N` adds.
    """
    counted = [trial for trial in campaign.trials() if trial.state is not State.WAITING]
    if campaign.study.search.refusals == "prune":
        return len(counted)
    return sum(1 for trial in counted if records.REFUSED_BY not in trial.user_attrs)


def take_up(campaign: campaigns.Campaign) -> Claim | None:
    """A begun trial that nobody works on any more: its worker stopped, or was silent longer than its lease."""
    for trial in campaign.trials((State.RUNNING,)):
        if not trial.params:
            continue
        lease = campaign.lease(trial.number)
        if lease is not None:
            logger.info("trial %d is taken up again", trial.number, extra={"trial": trial.number})
            return Claim(trial.number, studies.complete(campaign.study, trial.params), lease, taken_up=True)
    return None


def draw(campaign: campaigns.Campaign) -> sampler.Draft | Refused:
    """Draw until the rules accept; under `prune` the first refused draw becomes a trial row of its own."""
    campaign.sketch.learn(campaign.trials())
    refused: list[sampler.Draft] = []
    try:
        for _ in range(sampler.PATIENCE):
            draft = campaign.sketch.draw(campaign.judge, campaign.is_active)
            if campaign.sketch.keeps(draft.verdict):
                return draft
            if draft.verdict.refused_by and campaign.study.search.refusals == "prune":
                return prune(campaign, draft)
            if draft.verdict.refused_by:
                refused.append(draft)
        return campaign.sketch.from_reservoir(
            campaign.rules, campaign.situation, campaign.study.fixed, campaign.judge, campaign.is_active
        )
    finally:
        _count(campaign, refused)


def prune(campaign: campaigns.Campaign, draft: sampler.Draft) -> Refused:
    """Write a refused draw as a PRUNED trial with its violations, as the source experiment did."""
    with campaign.lock():
        campaign.optuna_study.add_trial(
            optuna.trial.create_trial(
                state=State.PRUNED,
                params=dict(draft.params),
                distributions={name: space.distribution(campaign.study.space[name]) for name in draft.params},
                user_attrs=attributes(draft.verdict, campaign),
                constraints=dict(draft.verdict.violations),
            )
        )
        number = campaign.trials()[-1].number
    _count(campaign, [draft])
    return Refused(draft.params, draft.verdict, number)


def attributes(verdict: verdicts.Verdict, campaign: campaigns.Campaign) -> dict[str, Any]:
    """What a trial row says about its judgement."""
    said: dict[str, Any] = {records.RULE_VERSION: campaign.rule_version}
    if verdict.refused_by:
        said[records.REFUSED_BY] = list(verdict.refused_by)
    return said


def _pop(campaign: campaigns.Campaign) -> Claim | Refused | None:
    """Take the oldest waiting trial, whoever put it there; a point that a person enqueued is judged like any other."""
    with campaign.lock():
        if not campaign.trials((State.WAITING,)):
            return None
        trial = campaign.optuna_study.ask()
        params = dict(trial.params) or space.draw(trial, campaign.study.space, campaign.is_active)
        lease = campaign.lease(trial.number)
    verdict = campaign.judge(params)
    if not verdict.refused_by:
        assert lease is not None
        trial.set_user_attr(records.RULE_VERSION, campaign.rule_version)
        return Claim(trial.number, studies.complete(campaign.study, params), lease, taken_up=False)
    for key, value in attributes(verdict, campaign).items():
        trial.set_user_attr(key, value)
    for rule, violation in verdict.violations.items():
        trial.set_constraint(rule, violation)
    campaign.optuna_study.tell(trial, state=State.PRUNED)
    campaign.release(lease)
    _count(campaign, [sampler.Draft(params, verdict, {})], source="enqueued")
    return Refused(params, verdict, trial.number)


def _count(campaign: campaigns.Campaign, refused: Sequence[sampler.Draft], source: refusals.Source = "sampled") -> None:
    if refused:
        refusals.record(
            campaign.database,
            campaign.study_id,
            [
                refusals.Refusal(
                    rule_version_id=campaign.version_of(draft.verdict.refused_by),
                    params=dict(draft.params),
                    refused_by=tuple(draft.verdict.refused_by),
                    violations=dict(draft.verdict.violations),
                    source=source,
                )
                for draft in refused
            ],
        )
        campaign.observer.refused(tuple(draft.verdict for draft in refused))
