"""What a study holds, read back from Optuna's own rows into plain records."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import optuna
import pydantic
from optuna.trial import TrialState

from optimizer import attributes, wording
from optimizer.results import attempts as trial_attempts
from optimizer.results import gain as gains
from storage import attempts as stored_attempts
from storage import results

#: states of trials that trained, to their end or a part of the way
TRAINED = ("usable", "unusable", "stopped-early")
#: what a state means to a reader, in the order in which states are counted
STATES = {
    "usable": "trained, and its pictures are fit for use",
    "unusable": "trained, but its parameters made it fail or a rule on the result is broken",
    "stopped-early": "others were ahead of it at a milestone, so a pruner ended its training",
    "refused": "a rule refused it before any training",
    "crashed": "the machine failed at every attempt",
    "running": "is being trained",
    "interrupted": "was begun and nobody trains it now; the next worker goes on with it from its checkpoint",
    "waiting": "is to be trained",
}

#: phases of a trial in the order they happen; any other phase comes after them
PHASES = ("launch", "load", "train", "sample", "score")

#: Optuna's states in a reader's words; PRUNED is told apart by what the row says, RUNNING by whether it is held
_WORDS = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "usable",
    TrialState.FAIL: "crashed",
    TrialState.WAITING: "waiting",
}


@dataclasses.dataclass(frozen=True)
class EarlyStop:
    """Where a pruner ended a trial: `score` is the primary objective's at its last milestone.

    `samples` names that point. An early stop says nothing against a trial but that others were ahead of it there.
    """

    by: str
    step: int
    total_steps: int | None
    samples: int | None
    score: float | None

    def why(self) -> str:
        """In words: who ended it, where."""
        whole = "" if self.total_steps is None else f" of {self.total_steps}"
        scored = "" if self.score is None else f", at {wording.value(self.score)} after {self.samples} samples"
        return f"{self.by} at step {self.step}{whole}{scored}"


def in_order(phases: Mapping[str, float]) -> list[tuple[str, float]]:
    """Phases with their seconds, as they happen in a trial."""
    return sorted(phases.items(), key=lambda item: PHASES.index(item[0]) if item[0] in PHASES else len(PHASES))


def _rounded(phases: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 3) for name, seconds in in_order(phases)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial: what docs/reference/json.md says of it, and what is for people alone. `state` is one of `STATES`."""

    number: int
    state: str
    params: Mapping[str, Any]
    #: measured objectives by name; an unusable trial keeps what was measured, None where nothing was
    values: Mapping[str, float | None]
    metrics: Mapping[str, Any]
    refused_by: tuple[str, ...]
    #: the stop rule that ended its training
    stop_rule: str | None = None
    early_stop: EarlyStop | None = None
    #: kind, step and message of what made the trial unusable
    failure: Mapping[str, Any] | None
    constraints: Mapping[str, float]
    rule_version: Annotated[str, pydantic.Field(serialization_alias="rules")]
    #: optimizer steps that were done
    steps: int | None
    #: optimizer steps that it was to do; None where nobody has said
    total_steps: int | None = None
    #: seconds in all, None before the trial has ended
    seconds: float | None
    phases: Annotated[Mapping[str, float], pydantic.PlainSerializer(_rounded)]
    #: the primary objective at milestones, by samples seen
    curve: Mapping[int, float] = dataclasses.field(default_factory=dict)
    lora: str | None
    lora_sha256: str | None = None
    #: whether the outcome is another trial's, of the same point and seed
    taken_over: bool = False
    #: oldest first
    attempts: Sequence[trial_attempts.Attempt] = ()
    images: Annotated[Sequence[Mapping[str, Any]], pydantic.Field(exclude=True)]
    #: which training of its point this is: 0 is the first, and each has a seed of its own
    repeat: Annotated[int, pydantic.Field(exclude=True)] = 0

    @pydantic.computed_field
    @property
    def gain(self) -> gains.Gain | None:
        """How much better than the untrained base it is, where the trainer compared them."""
        return gains.of(self.metrics, list(self.values))

    @pydantic.computed_field
    @property
    def subject_similarity(self) -> float | None:
        """How alike its pictures and the training images are (CLIP-I), where that was measured."""
        measured = self.metrics.get("subject_similarity")
        return float(measured) if isinstance(measured, int | float) else None

    def why(self) -> str:
        """In a few words why it is no usable trial; empty for one that is, and for one that has not ended."""
        if self.refused_by:
            return ", ".join(self.refused_by)
        if self.early_stop is not None:
            return self.early_stop.why()
        if self.stop_rule is not None:
            return f"stop rule {self.stop_rule}{self.progress()}"
        if self.failure is None:
            return ""
        return str(self.failure["message" if self.failure["kind"] == "expect" else "kind"])

    def progress(self) -> str:
        """How far its training came, as ` at step 12 of 40`; empty where nobody has said."""
        if self.steps is None:
            return ""
        return f" at step {self.steps}" + ("" if self.total_steps is None else f" of {self.total_steps}")


def read(
    trials: Sequence[optuna.trial.FrozenTrial],
    objectives: Sequence[str],
    measured: Sequence[results.TrialResult] = (),
    tries: Sequence[stored_attempts.AttemptRow] = (),
    abandoned: Collection[int] = (),
) -> list[TrialRecord]:
    """Trials as records, in the order of their numbers: Optuna's rows beside what our tables keep of them.

    Args:
        trials: Optuna's rows.
        objectives: names of their values.
        measured: what our own table keeps of results.
        tries: ... and of attempts.
        abandoned: numbers of running trials that no worker holds.
    """
    result_of = {result.trial_number: result for result in measured}
    runs_of: dict[int, list[stored_attempts.AttemptRow]] = {}
    for run in tries:
        runs_of.setdefault(run.trial_number, []).append(run)
    return [
        _record(
            trial,
            "interrupted" if trial.number in abandoned else _state(trial),
            objectives,
            result_of.get(trial.number),
            runs_of.get(trial.number, []),
        )
        for trial in trials
    ]


def _record(
    trial: optuna.trial.FrozenTrial,
    state: str,
    objectives: Sequence[str],
    result: results.TrialResult | None,
    tries: Sequence[stored_attempts.AttemptRow],
) -> TrialRecord:
    metrics = {} if result is None else result.metrics
    values: dict[str, float | None] = dict(zip(objectives, trial.values or (), strict=False))
    phases = _phases(tries)
    done = [run.step for run in tries if run.step is not None]
    return TrialRecord(
        number=trial.number,
        state=state,
        params=trial.params,
        values=values or {name: metrics.get(name) for name in objectives},
        refused_by=attributes.refused_by(trial),
        seconds=round(sum(phases.values()), 2) if phases else None,
        failure=(None if result is None else result.failure) or _broken(trial),
        phases=phases,
        metrics=metrics,
        images=() if result is None else result.images,
        constraints=trial.constraints,
        lora=None if result is None else result.lora_path,
        steps=max(done, default=attributes.whole(trial.user_attrs, attributes.STEPS)),
        rule_version=str(trial.user_attrs.get(attributes.RULE_VERSION, "")),
        repeat=attributes.repeat_of(trial.user_attrs),
        taken_over=attributes.is_taken_over(trial),
        early_stop=_early_stop(trial),
        curve=dict(sorted(trial.intermediate_values.items())),
        stop_rule=attributes.text(trial.user_attrs, attributes.STOP_RULE),
        total_steps=attributes.whole(trial.user_attrs, attributes.TOTAL_STEPS),
        lora_sha256=None if result is None else result.lora_sha256,
        attempts=tuple(map(trial_attempts.of, tries)),
    )


def _phases(tries: Sequence[stored_attempts.AttemptRow]) -> dict[str, float]:
    """Seconds by phase over all attempts: what an interrupted one did before its checkpoint counts, too."""
    total: dict[str, float] = {}
    for run in tries:
        for phase, seconds in run.seconds.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return total


def _state(trial: optuna.trial.FrozenTrial) -> str:
    if trial.state is not TrialState.PRUNED:
        return _WORDS[trial.state]
    if attributes.is_stopped_early(trial):
        return "stopped-early"
    return "refused" if attributes.refused_by(trial) else "unusable"


def _early_stop(trial: optuna.trial.FrozenTrial) -> EarlyStop | None:
    if not attributes.is_stopped_early(trial):
        return None
    said = trial.user_attrs
    samples, score = max(trial.intermediate_values.items(), default=(None, None))
    steps, of_steps = attributes.whole(said, attributes.STEPS) or 0, attributes.whole(said, attributes.TOTAL_STEPS)
    return EarlyStop(said[attributes.STOPPED_BY], steps, of_steps, samples, score)


def _broken(trial: optuna.trial.FrozenTrial) -> dict[str, Any] | None:
    """A trial that trained well but broke expect rules: the rules are what failed it."""
    if trial.state is TrialState.FAIL:
        return {"kind": "machine", "step": None, "message": str(trial.user_attrs.get("message", ""))}
    if trial.state is not TrialState.PRUNED or attributes.refused_by(trial):
        return None
    broken = sorted(key for key, value in trial.constraints.items() if value > 0)
    return {"kind": "expect", "step": None, "message": f"broke {', '.join(broken)}"} if broken else None


def done(records: Sequence[TrialRecord], refusals: str) -> list[TrialRecord]:
    """The trials that have ended and count towards a study's budget: refused ones under `refusals: prune` alone."""
    ended = (*TRAINED, "crashed", "refused") if refusals == "prune" else (*TRAINED, "crashed")
    return [record for record in records if record.state in ended and (refusals == "prune" or not record.taken_over)]
