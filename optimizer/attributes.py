"""What Optuna's row of a trial says of it beside parameters and values: names of its attributes, and how they are read.

People edit attributes in optuna-dashboard, so that they may hold anything.
"""

from collections.abc import Mapping
from typing import Any

import optuna

#: user attributes of an Optuna trial that say what the rules said
REFUSED_BY = "refused_by"
RULE_VERSION = "rule_version"
#: ... and where a trial's outcome comes from: the trial of the same point whose result it took over, and which repeat
#: of its point it is (1 is the first repeat; the seed is that much higher)
TAKEN_FROM = "taken_from"
REPEAT = "repeat"
#: ... and which pruner (`pruner:asha`) or which stop rule (its id) ended a trial, after how many steps of how many
STOPPED_BY = "stopped_by"
STOP_RULE = "stop_rule"
STEPS = "steps"
TOTAL_STEPS = "total_steps"
#: what the wish of a pruner begins with; no rule's id holds a colon
PRUNER = "pruner:"
#: the constraint that every trained trial carries: at most 0 when its training came to an end; no rule's id has a colon
TRAINING = "trainer:training"


def refused_by(trial: optuna.trial.FrozenTrial) -> tuple[str, ...]:
    """The rules that refused a trial."""
    found = trial.user_attrs.get(REFUSED_BY)
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()


def repeat_of(said: Mapping[str, Any]) -> int:
    """Which training of its point a trial is, by its attributes: 0 is the first."""
    return max(0, whole(said, REPEAT) or 0)


def is_taken_over(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial's outcome is that of another one, and nothing was trained."""
    return whole(trial.user_attrs, TAKEN_FROM) is not None


def is_stopped_early(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a pruner ended a trial, so that nothing is known of what it would have come to."""
    return isinstance(trial.user_attrs.get(STOPPED_BY), str)


def text(said: Mapping[str, Any], name: str) -> str | None:
    """An attribute that is text; None where it is anything else."""
    found = said.get(name)
    return found if isinstance(found, str) else None


def whole(said: Mapping[str, Any], name: str) -> int | None:
    """An attribute that is a whole number; None where it is anything else."""
    found = said.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None
