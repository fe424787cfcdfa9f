"""What running trials do now, for a terminal."""

from collections.abc import Sequence

from optimizer import columns, wording
from optimizer.results import live

#: columns after which the rest find room
_FIRST, _NEXT, _LAST = 0.0, 1.0, 2.0


def lines(running: Sequence[live.LiveAttempt], width: int | None) -> list[str]:
    """A line a trial, under the names of its columns.

    Args:
        running: at least one.
        width: characters a line; None for as many as it takes.
    """
    every = [
        columns.Column("trial", [str(each.trial) for each in running]),
        columns.Column("phase", [each.phase or "-" for each in running], is_figure=False),
        columns.Column("step", [steps(each) for each in running]),
        columns.Column("loss", [wording.value(each.signals.get("loss"), 3) for each in running], rank=_NEXT),
        columns.Column("left", [left(each) for each in running], rank=_NEXT),
        columns.Column("heard", [heard(each) for each in running], rank=_FIRST),
        columns.Column("worker", [each.worker for each in running], is_figure=False, rank=_LAST),
        columns.Column("device", [each.device for each in running], is_figure=False, rank=_LAST),
    ]
    known = [column for column in every if set(column.cells) - {"-"}]
    return list((columns.whole(known) if width is None else columns.fitted(known, width)).lines)


def facts(attempt: live.LiveAttempt) -> list[tuple[str, str]]:
    """All that an attempt told last, as names and values."""
    told = [("phase", f"{attempt.phase}, heard {heard(attempt)}"), ("step", steps(attempt)), ("left", left(attempt))]
    told += [(name, wording.value(value)) for name, value in sorted(attempt.signals.items())]
    return [(name, value) for name, value in told if value != "-"]


def steps(attempt: live.LiveAttempt) -> str:
    """How far its training has come."""
    if attempt.step is None:
        return "-"
    return str(attempt.step) if attempt.total_steps is None else f"{attempt.step} of {attempt.total_steps}"


def left(attempt: live.LiveAttempt) -> str:
    """How long its training still takes."""
    return "-" if attempt.seconds_left is None else wording.duration(attempt.seconds_left)


def heard(attempt: live.LiveAttempt) -> str:
    """When its worker was heard last."""
    return "-" if attempt.seconds_ago is None else f"{wording.duration(attempt.seconds_ago)} ago"
