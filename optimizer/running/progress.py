"""Live progress: a table on a terminal, plain lines in a log."""

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rich.console
import rich.live
import rich.text

from constraints.judging import verdict as verdicts
from optimizer import columns, wording
from optimizer.results import records, remarks, repeats
from optimizer.running import live_signals
from optimizer.study import resolved as studies
from optimizer.trials import conclusion as conclusions
from storage import errors as storage_errors
from trainers.contract import events

#: seconds of a trainer's own clock between two lines of a log about a trial that trains
LOG_SECONDS = 10.0
#: lines of the screen beside the table's own: status, caption, remarks
_BESIDE = 4


@dataclasses.dataclass
class ShownTrial:
    """What is shown of one trial."""

    number: int
    params: Mapping[str, Any]
    #: what it is doing, or how it ended
    state: str = "launch"
    #: in words, once it has ended: why it is not usable
    why: str = ""
    began: float = dataclasses.field(default_factory=time.monotonic)
    seconds: float | None = None
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: what its trainer told of it
    live: live_signals.LiveSignals = dataclasses.field(default_factory=live_signals.LiveSignals)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began if self.seconds is None else self.seconds


class Progress:
    """An observer that draws. Use as a context manager.

    Args:
        study: what is tried; its first objective decides what is best.
        budget: trials that the study may spend.
        trials: reads all trials of the study, those of earlier runs and of other workers too.
        quiet: show nothing.
        console: where to draw; standard error unless given.
    """

    def __init__(
        self,
        study: studies.Study,
        budget: int,
        trials: Callable[[], Sequence[records.TrialRecord]],
        *,
        quiet: bool = False,
        console: rich.console.Console | None = None,
    ) -> None:
        self._name = study.name
        self._budget = budget
        self._trials = trials
        self._parameters = tuple(study.space)
        self._objectives = study.objectives
        self._primary = study.primary
        self._refusals = study.search.refusals
        self._quiet = quiet
        self._rows: dict[int, ShownTrial] = {}
        self._refused: Counter[str] = Counter()
        self._refused_points = 0
        self._done: Sequence[records.TrialRecord] = ()
        self._elsewhere: Sequence[int] = ()
        self._best: tuple[float, int] | None = None
        self._remarks: Sequence[remarks.Remark] = ()
        self._remarked: set[str] = set()
        self._logged_at = 0.0
        self._began = time.monotonic()
        self._look()
        self._trained_before = self._trained()
        self._console = console or rich.console.Console(file=sys.stderr)
        self._live: rich.live.Live | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal and not self._quiet:
            self._live = rich.live.Live(
                console=self._console, get_renderable=self.screen, refresh_per_second=4, transient=False
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def refused(self, refusals: Sequence[verdicts.Verdict]) -> None:
        fresh = Counter(rule for verdict in refusals for rule in verdict.refused_by)
        points = sum(1 for verdict in refusals if verdict.refused_by)
        self._refused_points += points
        self._refused.update(fresh)
        if points:
            self._line(wording.refusals(points, fresh))

    def noticed(self, sentence: str) -> None:
        self._line(sentence)

    def started(self, trial: int, params: Mapping[str, Any], *, taken_up: bool) -> None:
        self._rows.pop(trial, None)  # one that goes on after an interruption stands last again
        self._rows[trial] = ShownTrial(trial, params, "going on" if taken_up else "launch")
        self._look()
        described = {name: params[name] for name in self._parameters if name in params}
        self._line(f"trial {trial} {'goes on' if taken_up else 'starts'}: {wording.settings(described)}")

    def event(self, trial: int, event: events.Event) -> None:
        row = self._rows.get(trial)
        if row is None:
            return
        row.live.take(event)
        if event.event == "step":
            row.state = f"step {row.live.steps()}"
            self._log_step(row)
        elif event.event == "evaluated":
            row.metrics = event.data["metrics"]
        elif event.event in live_signals.PHASES:
            row.state = row.live.phase
        elif event.event == "failed":
            row.why = str(event.data["kind"])

    def concluded(self, trial: int, conclusion: conclusions.Conclusion) -> None:
        row = self._rows.setdefault(trial, ShownTrial(trial, {}))
        row.state = conclusion.ending.value
        row.seconds = sum(conclusion.seconds.values())
        row.live = live_signals.LiveSignals()  # nothing of it is shown any more, and a study may have many trials
        row.metrics = conclusion.metrics or row.metrics
        row.why = conclusion.why()
        self._look()
        if conclusion.ending is conclusions.Ending.USABLE:
            said = ", ".join(f"{name} {wording.value(row.metrics.get(name))}" for name in self._objectives)
        else:
            at_point = row.metrics.get(self._primary)
            said = row.why + ("" if at_point is None else f", {self._primary} {wording.value(at_point)}")
        took = wording.duration(row.seconds)
        self._line(f"trial {trial} is {row.state}: {said}, {took} ({self._status()})")
        for remark in self._remarks:
            if remark.rule not in self._remarked:
                self._remarked.add(remark.rule)
                self._line(f"look at this: {remark.text}")

    def screen(self) -> rich.text.Text:
        """The status, then the newest trials that fit, those that train among them, a trial a line."""
        width = self._console.width
        beside = [f"{self._name}: {self._status()}"]
        if self._elsewhere:
            beside.append(f"other workers train {', '.join(f'trial {number}' for number in self._elsewhere)}")
        beside.append(wording.refusals(self._refused_points, self._refused))
        beside += [f"look at this: {remark.text}" for remark in self._remarks]
        room = max(1, self._console.height - _BESIDE - sum(1 + len(line) // width for line in beside))
        rows = list(self._rows.values())[-room:]
        lines = [beside[0], *(columns.fitted(self._columns(rows), width).lines if rows else ()), *beside[1:]]
        return rich.text.Text("\n".join(lines))

    def _columns(self, rows: Sequence[ShownTrial]) -> list[columns.Column]:
        _, parameters = columns.of_parameters([row.params for row in rows], self._parameters, digits=3)
        first, *others = (
            columns.Column(name, [wording.value(row.metrics.get(name), 3) for row in rows]) for name in self._objectives
        )
        always = [
            columns.Column("trial", [str(row.number) for row in rows]),
            columns.Column("state", [row.state for row in rows], is_figure=False),
            first,
            columns.Column("time", [wording.duration(row.elapsed) for row in rows]),
        ]
        known = [
            columns.Column("left", [_left(row) for row in rows]),
            columns.Column("why", [row.why for row in rows], is_figure=False, rank=0.5),
            *parameters,
            *(dataclasses.replace(column, rank=3.0) for column in others),
        ]
        return [*always, *(column for column in known if set(column.cells) - {"-", ""})]

    def _log_step(self, row: ShownTrial) -> None:
        """A line about a trial that trains, now and then; its first step is news of its own."""
        if row.live.told_at - self._logged_at < LOG_SECONDS:
            return
        self._logged_at = row.live.told_at
        left = row.live.train_seconds_left()
        coming = "" if left is None else f", about {wording.duration(left)} of training left"
        self._line(f"trial {row.number}: {row.state}, loss {wording.value(row.live.latest.get('loss'))}{coming}")

    def _look(self) -> None:
        """Count what is done and find the best, over all workers; a database that is away is asked next time."""
        try:
            found = self._trials()
        except storage_errors.StorageError:
            return
        self._done = records.done(found, self._refusals)
        own = {row.number for row in self._rows.values()}
        self._elsewhere = [each.number for each in found if each.state == "running" and each.number not in own]
        best = repeats.best_trial(found, self._objectives)
        if best is not None:
            self._best = (best.values[next(iter(self._objectives))] or 0.0, best.number)
        self._remarks = remarks.of(found, self._refused_points, self._refused)

    def _line(self, text: str) -> None:
        if self._live is None and not self._quiet:
            self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _trained(self) -> int:
        """How many of those that are done took time."""
        return len([record for record in self._done if record.state != "refused"])

    def _status(self) -> str:
        done, trained = len(self._done), self._trained()
        left, refused = max(0, self._budget - done), done - trained
        said = [f"{done} of {self._budget} done" + (f", {refused} of them refused" if refused else "")]
        # what was refused took no time, so time is counted by those that trained
        fresh = trained - self._trained_before
        if fresh > 0 and left:
            coming = left * trained / done
            said.append(f"about {wording.duration((time.monotonic() - self._began) / fresh * coming)} left")
        if self._best is not None:
            said.append(f"best {next(iter(self._objectives))} {wording.value(self._best[0])} in trial {self._best[1]}")
        return ", ".join(said)


def _left(row: ShownTrial) -> str:
    left = row.live.train_seconds_left() if row.seconds is None and row.state.startswith("step") else None
    return "-" if left is None else wording.duration(left)
