"""What trials do while they run, as their workers told it last."""

import dataclasses
from collections.abc import Mapping, Sequence

from optimizer import jsonable
from storage import signals


@dataclasses.dataclass(frozen=True)
class LiveAttempt:
    """An attempt at a trial; what nobody has told is None or empty.

    Attributes:
        phase: launch, load, train, sample or score.
        seconds_left: of its training.
        seconds_ago: how long ago its worker told of it.
        signals: signal (loss, grad_norm, learning_rate_now, ...) -> its latest value.
        curve: `step` and some of the signals -> their values at these steps, thinned.
    """

    trial: int
    attempt: int
    worker: str
    device: str
    phase: str | None = None
    step: int | None = None
    total_steps: int | None = None
    seconds_left: float | None = None
    told_at: jsonable.Timestamp | None = None
    seconds_ago: float | None = None
    signals: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    curve: Mapping[str, Sequence[int | float | None]] = dataclasses.field(default_factory=dict)


def of(heard: signals.ToldSignals) -> LiveAttempt:
    """An attempt as it is shown."""
    attempt = LiveAttempt(heard.trial_number, heard.attempt, heard.worker_id, heard.device)
    told = heard.signals
    if told is None or heard.seconds_ago is None:
        return attempt
    return dataclasses.replace(
        attempt,
        phase=told.phase,
        step=told.step,
        total_steps=told.total_steps,
        seconds_left=told.seconds_left,
        told_at=heard.told_at,
        seconds_ago=round(heard.seconds_ago, 3),
        signals=told.latest,
        curve=told.curve,
    )
