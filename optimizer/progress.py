"""Live progress: a table on a terminal, plain lines in a log."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rich.console
import rich.live
import rich.table
import rich.text

from constraints import verdict as verdicts
from optimizer import records, score
from optimizer import study as studies
from trainers import events

#: rows of the table that stay on the screen; older ones have scrolled into the report
ROWS = 20


class Row:
    """What is shown of one trial."""

    def __init__(self, number: int, params: Mapping[str, Any], taken_up: bool) -> None:
        self.number = number
        self.params = params
        self.state = "going on" if taken_up else "launch"
        self.began = time.monotonic()
        self.seconds: float | None = None
        self.metrics: Mapping[str, Any] = {}
        #: the score at the latest evaluation point, in words
        self.scored = ""

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
    """

    def __init__(
        self,
        study: studies.Study,
        budget: int,
        trials: Callable[[], Sequence[records.TrialRecord]],
        *,
        quiet: bool = False,
    ) -> None:
        self._budget = budget
        self._trials = trials
        self._done = 0
        self._parameters = tuple(study.space)
        self._objectives = study.objectives
        self._primary = study.primary
        self._quiet = quiet
        self._rows: list[Row] = []
        self._refused: Counter[str] = Counter()
        self._draws = 0
        self._best: tuple[float, int] | None = None
        self._began = time.monotonic()
        self._look()
        self._done_before = self._done
        self._console = rich.console.Console(file=sys.stderr)
        self._live: rich.live.Live | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal and not self._quiet:
            self._live = rich.live.Live(
                console=self._console, get_renderable=self._table, refresh_per_second=4, transient=False
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def refused(self, refusals: Sequence[verdicts.Verdict]) -> None:
        self._draws += len(refusals)
        fresh = Counter(rule for verdict in refusals for rule in verdict.refused_by)
        self._refused.update(fresh)
        if fresh:
            self._line(f"refused {len(refusals)} draws: " + _counts(fresh))

    def started(self, trial: int, params: Mapping[str, Any], *, taken_up: bool) -> None:
        self._rows.append(Row(trial, params, taken_up))
        words = "goes on" if taken_up else "starts"
        self._line(f"trial {trial} {words}: " + ", ".join(self._described(params)))

    def event(self, trial: int, event: events.Event) -> None:
        row = self._rows[-1]
        if event.event == "step":
            row.state = f"train {100 * float(event.data['progress']):.0f} %{row.scored}"
        elif event.event == "evaluated":
            row.scored = f", {self._primary} {_number(event.data['metrics'].get(self._primary))}"
        elif event.event in _PHASES:
            row.state = _PHASES[event.event]
        elif event.event == "failed":
            row.state = str(event.data["kind"])

    def concluded(self, trial: int, conclusion: score.Conclusion) -> None:
        row = self._rows[-1]
        row.state = conclusion.failure.kind if conclusion.failure else conclusion.ending.value
        row.seconds = sum(conclusion.seconds.values())
        row.metrics = conclusion.metrics
        self._look()
        measured = ", ".join(f"{name} {_number(conclusion.metrics.get(name))}" for name in self._objectives)
        if conclusion.stopped_by is not None:
            measured = f"{conclusion.stopped_by} at step {conclusion.steps} of {conclusion.total_steps}{row.scored}"
        self._line(f"trial {trial} is {row.state}: {measured}, {row.seconds:.1f} s ({self._status()})")

    def _look(self) -> None:
        """Count what is done and find the best, over all workers."""
        found = self._trials()
        self._done = sum(1 for record in found if record.state in (*records.TRAINED, "crashed"))
        best = records.best(found, self._objectives)
        if best is not None:
            self._best = (best.values[next(iter(self._objectives))] or 0.0, best.number)

    def _line(self, text: str) -> None:
        if self._live is None and not self._quiet:
            self._console.print(text, highlight=False, soft_wrap=True)

    def _described(self, params: Mapping[str, Any]) -> list[str]:
        return [f"{name} {_number(params[name])}" for name in self._parameters if name in params]

    def _status(self) -> str:
        left = max(0, self._budget - self._done)
        said = [f"{self._done} of {self._budget} done"]
        fresh = self._done - self._done_before
        if fresh and left:
            minutes = (time.monotonic() - self._began) / fresh * left / 60
            said.append(f"about {minutes:.1f} min left")
        if self._best is not None:
            said.append(f"best {next(iter(self._objectives))} {self._best[0]:.3f} in trial {self._best[1]}")
        return ", ".join(said)

    def _table(self) -> rich.table.Table:
        table = rich.table.Table(
            title=self._status(),
            caption=f"refused {self._draws} draws: {_counts(self._refused)}"
            if self._refused
            else "nothing refused yet",
            title_justify="left",
            caption_justify="left",
        )
        for heading in ("trial", "state", "parameters", *self._objectives, "seconds"):
            table.add_column(heading, justify="left" if heading in ("state", "parameters") else "right")
        for row in self._rows[-ROWS:]:
            measured = [_number(row.metrics.get(name)) for name in self._objectives]
            described = ", ".join(self._described(row.params))
            table.add_row(str(row.number), row.state, rich.text.Text(described), *measured, f"{row.elapsed:.0f}")
        return table


#: event -> what the trial is doing after it
_PHASES = {"job-started": "load", "loaded": "load", "train-started": "train", "trained": "sample", "sampled": "score"}


def _counts(refused: Mapping[str, int]) -> str:
    ordered = sorted(refused.items(), key=lambda item: -item[1])
    return ", ".join(f"{rule} {count}" for rule, count in ordered)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "-" if value is None else str(value)
