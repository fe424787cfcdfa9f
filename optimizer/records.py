"""What a study holds, read back from Optuna's own rows into plain records."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from optimizer import repeats
from storage import results, runs

State = optuna.trial.TrialState

#: user attributes of an Optuna trial that say what the rules said
REFUSED_BY = "refused_by"
RULE_VERSION = "rule_version"
#: ... and where a trial's outcome comes from: the trial of the same point whose result it took over, and which repeat
#: of its point it is (1 is the first repeat; the seed is that much higher)
TAKEN_FROM = "taken_from"
REPEAT = "repeat"
#: ... and which pruner ended a trial (`pruner:asha`), after how many steps of how many
STOPPED_BY = "stopped_by"
STEPS = "steps"
TOTAL_STEPS = "total_steps"
#: what the wish of a pruner begins with; no rule's id holds a colon
PRUNER = "pruner:"

#: states of trials that trained, to their end or a part of the way
TRAINED = ("usable", "unusable", "stopped-early")

#: Optuna's states in a reader's words; PRUNED is told apart by what the row says
_WORDS = {State.RUNNING: "running", State.COMPLETE: "usable", State.FAIL: "crashed", State.WAITING: "waiting"}


@dataclasses.dataclass(frozen=True)
class EarlyStop:
    """Where a pruner ended a trial: `score` is the primary objective's at its last evaluation point.

    `samples` names that point. An early stop says nothing against a trial but that others were ahead of it there.
    """

    by: str
    step: int
    total_steps: int | None
    samples: int | None
    score: float | None

    def render(self) -> str:
        """In words: who ended it, where."""
        whole = "" if self.total_steps is None else f" of {self.total_steps}"
        scored = "" if self.score is None else f", at {self.score:.4g} after {self.samples} samples"
        return f"{self.by} at step {self.step}{whole}{scored}"


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One trial. `state` is waiting, running, usable, unusable, stopped-early, refused or crashed."""

    number: int
    state: str
    params: Mapping[str, Any]
    #: measured objectives by name; an unusable trial keeps what was measured, None where nothing was
    values: Mapping[str, float | None]
    refused_by: tuple[str, ...]
    #: seconds in all, None before the trial has ended
    seconds: float | None
    #: kind, step and message of what made the trial unusable
    failure: Mapping[str, Any] | None
    phases: Mapping[str, float]
    metrics: Mapping[str, Any]
    images: Sequence[Mapping[str, Any]]
    constraints: Mapping[str, float]
    lora: str | None
    #: optimizer steps that were done
    steps: int | None
    attempts: int
    rule_version: str
    #: whether the outcome is another trial's, of the same point and seed
    taken_over: bool = False
    early_stop: EarlyStop | None = None
    #: the primary objective at evaluation points, by samples seen
    curve: Mapping[int, float] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The contract of `study show --json`."""
        return {
            "number": self.number,
            "state": self.state,
            "params": dict(self.params),
            "values": dict(self.values),
            "refused_by": list(self.refused_by),
            "seconds": self.seconds,
            "failure": None if self.failure is None else dict(self.failure),
            "early_stop": None if self.early_stop is None else dataclasses.asdict(self.early_stop),
        }


def read(
    trials: Sequence[optuna.trial.FrozenTrial],
    objectives: Sequence[str],
    measured: Sequence[results.Result] = (),
    attempts: Sequence[runs.Run] = (),
) -> list[TrialRecord]:
    """Trials as records, in the order of their numbers: Optuna's rows beside what our tables keep of them."""
    result_of = {result.trial_number: result for result in measured}
    runs_of: dict[int, list[runs.Run]] = {}
    for run in attempts:
        runs_of.setdefault(run.trial_number, []).append(run)
    return [_record(trial, objectives, result_of.get(trial.number), runs_of.get(trial.number, [])) for trial in trials]


def _record(
    trial: optuna.trial.FrozenTrial,
    objectives: Sequence[str],
    result: results.Result | None,
    attempts: Sequence[runs.Run],
) -> TrialRecord:
    metrics = {} if result is None else result.metrics
    values: dict[str, float | None] = dict(zip(objectives, trial.values or (), strict=False))
    phases = _phases(attempts)
    return TrialRecord(
        number=trial.number,
        state=_state(trial),
        params=trial.params,
        values=values or {name: metrics.get(name) for name in objectives},
        refused_by=tuple(trial.user_attrs.get(REFUSED_BY, ())),
        seconds=round(sum(phases.values()), 2) if phases else None,
        failure=(None if result is None else result.failure) or _broken(trial),
        phases=phases,
        metrics=metrics,
        images=() if result is None else result.images,
        constraints=trial.constraints,
        lora=None if result is None else result.lora_path,
        steps=max((run.step for run in attempts if run.step is not None), default=None),
        attempts=len(attempts),
        rule_version=str(trial.user_attrs.get(RULE_VERSION, "")),
        taken_over=TAKEN_FROM in trial.user_attrs,
        early_stop=_early_stop(trial),
        curve=dict(sorted(trial.intermediate_values.items())),
    )


def _phases(attempts: Sequence[runs.Run]) -> dict[str, float]:
    """Seconds by phase over all attempts: what an interrupted one did before its checkpoint counts, too."""
    total: dict[str, float] = {}
    for run in attempts:
        for phase, seconds in run.seconds.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return total


def _state(trial: optuna.trial.FrozenTrial) -> str:
    if trial.state is not State.PRUNED:
        return _WORDS[trial.state]
    if is_stopped_early(trial):
        return "stopped-early"
    return "refused" if REFUSED_BY in trial.user_attrs else "unusable"


def is_stopped_early(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a pruner ended a trial, so that nothing is known of what it would have come to."""
    return STOPPED_BY in trial.user_attrs


def _early_stop(trial: optuna.trial.FrozenTrial) -> EarlyStop | None:
    if not is_stopped_early(trial):
        return None
    said = trial.user_attrs
    samples, score = max(trial.intermediate_values.items(), default=(None, None))
    return EarlyStop(said[STOPPED_BY], said[STEPS], said.get(TOTAL_STEPS), samples, score)


def _broken(trial: optuna.trial.FrozenTrial) -> dict[str, Any] | None:
    """A trial that trained well but broke expect rules: the rules are what failed it."""
    if trial.state is State.FAIL:
        return {"kind": "machine", "step": None, "message": trial.user_attrs.get("message", "")}
    if trial.state is not State.PRUNED or REFUSED_BY in trial.user_attrs:
        return None
    broken = sorted(key for key, value in trial.constraints.items() if value > 0)
    return {"kind": "expect", "step": None, "message": f"broke {', '.join(broken)}"} if broken else None


def best(records: Sequence[TrialRecord], directions: Mapping[str, str]) -> TrialRecord | None:
    """The best usable trial: the first objective decides, the next ones break ties; repeats count by their mean.

    A study with several objectives has a whole front of best trials; a person who asks for one gets the end of the
    front that their first objective names.
    """
    return next(iter(repeats.best(records, directions)), None)
