"""What rules would have done to finished trials: failures prevented, good trials lost, GPU time saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic

from constraints.judging.kinds import HARD
from constraints.names.world import Direction
from constraints.rules.ruleset import RuleSet


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended.

    `values` are its objectives (empty when it failed before there were any), `metrics` whatever else was reported,
    `seconds` the GPU time it took.
    """

    number: int
    params: Mapping[str, Any]
    values: tuple[float, ...]
    failed: bool
    seconds: float
    facts: Mapping[str, Any] | None = None
    metrics: Mapping[str, float] | None = None


@dataclass(frozen=True)
class RuleReplay:
    """What one rule alone would have refused."""

    id: str
    failures: tuple[int, ...]
    good: tuple[int, ...]


@dataclass(frozen=True)
class Replay:
    """Numbers of trials, by what the rules would have done.

    Attributes:
        prevented: failed trials that are refused.
        missed: failed trials that are accepted.
        lost: usable trials that are refused, the best first.
        best_lost: those of `lost` that no other usable trial beats in every objective.
        seconds_saved: GPU time of the refused failures; `seconds_lost` that of the refused usable trials.
        unusable: usable trials that an `expect` rule would have called unusable.
    """

    name: Annotated[str, pydantic.Field(serialization_alias="rules_name")]
    trials: int
    prevented: tuple[int, ...]
    missed: tuple[int, ...]
    lost: tuple[int, ...]
    best_lost: tuple[int, ...]
    seconds_saved: float
    seconds_lost: float
    unusable: tuple[int, ...]
    rules: tuple[RuleReplay, ...]

    def render(self) -> str:
        """The replay as text for a terminal."""
        failures = len(self.prevented) + len(self.missed)
        lines = [
            f"{self.name} over {self.trials} finished trials",
            f"  failures prevented  {len(self.prevented)} of {failures}{_numbers(self.prevented)}",
            f"  good trials lost    {len(self.lost)} of {self.trials - failures}{_numbers(self.lost)}",
            f"  GPU time saved      {self.seconds_saved / 60:.1f} min of failures",
            f"  GPU time not used   {self.seconds_lost / 60:.1f} min of good trials",
        ]
        if self.best_lost:
            lines.append(f"  among the best      trial{_numbers(self.best_lost)}")
        if self.unusable:
            lines.append(f"  called unusable     {len(self.unusable)}{_numbers(self.unusable)}")
        width = max((len(rule.id) for rule in self.rules), default=0)
        for rule in self.rules:
            lines.append(f"    {rule.id:{width}}  refuses {len(rule.failures)} failures, {len(rule.good)} good trials")
        return "\n".join(lines)


def replay(ruleset: RuleSet, trials: Sequence[FinishedTrial], directions: Sequence[Direction] = ()) -> Replay:
    """Judges finished trials again, under rules that may be other than those they were tried under.

    Args:
        directions: of the objectives, in the order of `values`; all are maximised when it is empty.
    """
    refused_by = {trial.number: ruleset.check_point(trial.params, trial.facts).refused_by for trial in trials}
    usable = [trial for trial in trials if not trial.failed]
    lost = [trial for trial in usable if refused_by[trial.number]]
    prevented = [trial for trial in trials if trial.failed and refused_by[trial.number]]
    best = _undominated(usable, directions)
    return Replay(
        name=ruleset.name,
        trials=len(trials),
        prevented=tuple(trial.number for trial in prevented),
        missed=tuple(trial.number for trial in trials if trial.failed and not refused_by[trial.number]),
        lost=tuple(
            trial.number for trial in sorted(lost, key=lambda trial: _goodness(trial, directions), reverse=True)
        ),
        best_lost=tuple(trial.number for trial in lost if trial.number in best),
        seconds_saved=sum(trial.seconds for trial in prevented),
        seconds_lost=sum(trial.seconds for trial in lost),
        unusable=tuple(trial.number for trial in usable if _is_unusable(ruleset, trial)),
        rules=tuple(
            RuleReplay(
                id=rule.id,
                failures=tuple(t.number for t in trials if t.failed and rule.id in refused_by[t.number]),
                good=tuple(t.number for t in usable if rule.id in refused_by[t.number]),
            )
            for rule in ruleset.rules
            if rule.kind in HARD
        ),
    )


def compare(one: Replay, other: Replay) -> str:
    """Two replays side by side, with what changes from the first to the second."""
    rows = [
        ("", one.name, other.name),
        ("failures prevented", str(len(one.prevented)), str(len(other.prevented))),
        ("good trials lost", str(len(one.lost)), str(len(other.lost))),
        ("GPU minutes saved", f"{one.seconds_saved / 60:.1f}", f"{other.seconds_saved / 60:.1f}"),
        ("best trials lost", _numbers(one.best_lost).strip() or "none", _numbers(other.best_lost).strip() or "none"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    refused = [set(each.prevented) | set(each.lost) for each in (one, other)]
    lines.append(f"only {one.name} refuses:{_numbers(sorted(refused[0] - refused[1])) or ' none'}")
    lines.append(f"only {other.name} refuses:{_numbers(sorted(refused[1] - refused[0])) or ' none'}")
    return "\n".join(lines)


def _is_unusable(ruleset: RuleSet, trial: FinishedTrial) -> bool:
    if trial.metrics is None:
        return False
    return any(value > 0 for value in ruleset.judge({**trial.params, **trial.metrics}, trial.facts).values())


def _goodness(trial: FinishedTrial, directions: Sequence[Direction]) -> tuple[float, ...]:
    """Objectives with the sign that makes more better."""
    signs = directions or ["maximize"] * len(trial.values)
    return tuple(v if sign == "maximize" else -v for v, sign in zip(trial.values, signs, strict=True))


def _undominated(trials: Sequence[FinishedTrial], directions: Sequence[Direction]) -> set[int]:
    """Numbers of the trials that no other one equals or beats in every objective and beats in one."""
    scores = {trial.number: _goodness(trial, directions) for trial in trials}

    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one != other and all(a >= b for a, b in zip(one, other, strict=True))

    return {number for number, score in scores.items() if not any(beats(other, score) for other in scores.values())}


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:12])
    return f" ({shown}{', ...' if len(numbers) > 12 else ''})" if numbers else ""
