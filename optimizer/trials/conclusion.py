"""From a trial's events to what Optuna is told: values, constraints and a state.

The state decides whether the search works (docs/explanation/architecture.md, decision 2): usable trials are COMPLETE
with values; unusable ones PRUNED with constraints, so that samplers learn how bad they were and no dashboard ever shows
one as the best; what the machine did to a trial is not told at all.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

from constraints.rules import ruleset as rulesets
from optimizer import attributes
from trainers.contract import events, failures, job


class Ending(enum.StrEnum):
    """How an attempt at a trial ended."""

    #: trained, scored, and every expect rule holds
    USABLE = "usable"
    #: its parameters made it fail, or an expect rule is broken
    UNUSABLE = "unusable"
    #: a pruner ended it, because others were ahead of it
    STOPPED_EARLY = "stopped-early"
    #: asked to stop; it goes on from its checkpoint
    INTERRUPTED = "interrupted"
    #: the process died; the same trial may be tried again
    CRASHED = "crashed"
    #: the job cannot be run here as things are: an unreadable image, a full disk; the trial waits until that is mended
    REJECTED = "rejected"


#: endings that are told; after the others the same trial is tried again
FINAL = (Ending.USABLE, Ending.UNUSABLE, Ending.STOPPED_EARLY)


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a trial is unusable: the kind (trainers.contract.failures), where, and in words."""

    kind: str
    step: int | None
    message: str
    #: the stop rule that ended the training
    rule: str | None = None


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """What one attempt came to. `values` are in the order of the study's objectives, None unless usable."""

    ending: Ending
    values: tuple[float, ...] | None = None
    constraints: Mapping[str, float] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    images: Sequence[Mapping[str, Any]] = ()
    failure: Failure | None = None
    #: the pruner that ended it early
    stopped_by: str | None = None
    lora: str | None = None
    lora_sha256: str | None = None
    #: seconds by phase: launch, load, train, sample, score
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    #: optimizer steps done and planned; an early end saved the rest
    steps: int | None = None
    total_steps: int | None = None
    message: str = ""
    exit_code: int | None = None

    def why(self) -> str:
        """In a few words why it is not usable: who ended it where, which rules broke; empty for a usable one."""
        where = "" if self.steps is None else f" at step {self.steps}"
        where += f" of {self.total_steps}" if where and self.total_steps is not None else ""
        if self.stopped_by is not None:
            return self.stopped_by + where
        if self.ending is Ending.INTERRUPTED:
            return f"stopped{where}, the next worker goes on with it"
        if self.failure is not None:
            return f"stop rule {self.failure.rule}{where}" if self.failure.rule else f"{self.failure.kind}{where}"
        broken = sorted(
            rule for rule, violation in self.constraints.items() if violation > 0 and rule != attributes.TRAINING
        )
        if broken:
            return f"broke {', '.join(broken)}"
        return self.message.splitlines()[-1] if self.message and self.ending is not Ending.USABLE else ""


def conclude(
    told: Sequence[events.Event],
    rules: rulesets.RuleSet,
    objectives: Mapping[str, str],
    params: Mapping[str, Any],
    *,
    asked_to_stop: bool = False,
) -> Conclusion:
    """Judge an attempt by everything its trainer told (this trial's events and the job's own, in order).

    Args:
        asked_to_stop: whether the worker did; a trainer that is still starting dies of that without a word.
    """
    by_name = {event.event: event.data for event in told}
    finished = by_name.get("trial-finished")
    known = _known(told, by_name)
    if finished is None or finished["outcome"] == "interrupted":
        message = str(by_name.get("job-finished", {}).get("message", ""))
        ending = _unfinished(known.exit_code, stopped=asked_to_stop or finished is not None)
        return dataclasses.replace(known, ending=ending, message=message)
    if known.stopped_by is not None:
        # nothing is held against its parameters: they trained well as far as they came
        return dataclasses.replace(known, ending=Ending.STOPPED_EARLY, constraints={attributes.TRAINING: 0.0})
    if finished["outcome"] == "finished" and by_name.get("scored", {}).get("metrics"):
        return _scored(known, rules, objectives, params)
    return dataclasses.replace(known, ending=Ending.UNUSABLE, constraints={attributes.TRAINING: 1.0})


def _unfinished(exit_code: int | None, *, stopped: bool) -> Ending:
    if exit_code in (job.ExitCode.BAD_INPUT, job.ExitCode.MACHINE):
        return Ending.REJECTED
    if stopped or exit_code == job.ExitCode.INTERRUPTED:
        return Ending.INTERRUPTED
    return Ending.CRASHED


def _known(told: Sequence[events.Event], by_name: Mapping[str, Mapping[str, Any]]) -> Conclusion:
    scored, saved, finished = (by_name.get(name, {}) for name in ("scored", "saved", "trial-finished"))
    failed, stopped = _gravest(told), by_name.get("stopped")
    failure = None
    if failed is not None:
        failure = Failure(str(failed["kind"]), failed.get("step"), str(failed["message"]))
    by_pruner = stopped is not None and str(stopped["rule"]).startswith(attributes.PRUNER)
    if stopped is not None and not by_pruner:
        rule = str(stopped["rule"])
        failure = Failure("stopped-by-rule", stopped.get("step"), f"the stop rule {rule} ended the training", rule)
    memory = [float(event.data["vram_gb"]) for event in told if events.is_number(event.data.get("vram_gb"))]
    peak = {"vram_gb": max(memory)} if memory else {}
    at_steps = ("step", "failed", "stopped")
    steps = [int(event.data["step"]) for event in told if event.event in at_steps and event.data["step"]]
    return Conclusion(
        ending=Ending.USABLE,
        metrics={**scored.get("metrics", {}), **peak},
        images=tuple(scored.get("images", ())),
        failure=failure,
        stopped_by=str(stopped["rule"]) if stopped is not None and by_pruner else None,
        lora=saved.get("path"),
        lora_sha256=saved.get("sha256"),
        seconds={name: took for name, took in finished.get("seconds", {}).items() if events.is_number(took)},
        steps=by_name.get("trained", {}).get("steps") or (max(steps) if steps else None),
        total_steps=by_name.get("train-started", {}).get("total_steps"),
        exit_code=by_name.get("job-finished", {}).get("exit_code"),
    )


def _gravest(told: Sequence[events.Event]) -> Mapping[str, Any] | None:
    """The failure that says most about a trial: the last one of the whole trial, else the last of single images."""
    failed = [event.data for event in told if event.event == "failed"]
    whole = [each for each in failed if _is_whole(str(each["kind"]))]
    return next(reversed(whole or failed), None)


def _is_whole(kind: str) -> bool:
    """Whether a failure makes its trial unusable by itself; a kind that a user's own trainer made up does."""
    known = failures.KINDS.get(kind)
    return known is None or known.whole


def _scored(
    known: Conclusion, rules: rulesets.RuleSet, objectives: Mapping[str, str], params: Mapping[str, Any]
) -> Conclusion:
    """A trial whose images were judged: usable when each objective is a number and each expect rule holds."""
    numbers = {name: value for name, value in known.metrics.items() if isinstance(value, int | float)}
    broken = rules.judge({**params, **numbers})
    values = tuple(numbers.get(name) for name in objectives)
    missing = [name for name, value in zip(objectives, values, strict=True) if value is None]
    if missing:
        failure = Failure("no-score", None, _missing(missing, known.metrics))
        if known.failure is not None:
            failure = dataclasses.replace(known.failure, message=f"{known.failure.message}; {failure.message}")
        return dataclasses.replace(
            known, ending=Ending.UNUSABLE, failure=failure, constraints={**broken, attributes.TRAINING: 1.0}
        )
    failed = known.failure is not None and _is_whole(known.failure.kind)
    constraints = {attributes.TRAINING: 1.0 if failed else 0.0, **broken}
    usable = all(value <= 0 for value in constraints.values())
    return dataclasses.replace(
        known,
        ending=Ending.USABLE if usable else Ending.UNUSABLE,
        values=tuple(float(value) for value in values if value is not None) if usable else None,
        constraints=constraints,
    )


def _missing(names: Sequence[str], told: Mapping[str, Any]) -> str:
    """Which objectives were not measured, and what was told in their place."""
    said = [f"{name} is {told[name]!r}" if name in told else f"{name} was not told" for name in names]
    return f"no finite number for {', '.join(names)} ({'; '.join(said)}); told were {', '.join(sorted(told)) or 'none'}"
