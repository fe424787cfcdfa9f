"""A study on a terminal or in a pipe: what came of it, then a trial a line."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer import columns, errors, wording
from optimizer.report import running as running_trials
from optimizer.report import summary as summaries
from optimizer.results import asked, live, records, remarks, repeats

#: rank of columns that find room after all parameters
_LATER = 3.0


@dataclasses.dataclass(frozen=True)
class Overview:
    """What `study show` says of a study.

    Attributes:
        objectives: name -> maximize or minimize.
        parameters: names of the space, in the order of the study file.
        trials: all of them.
        refused_points: points that were refused before training; `refusals`: how many each rule refused of them.
        running: what the running trials do now.
        wishes: what was asked of the study and its trials, oldest first.
    """

    name: str
    objectives: Mapping[str, str]
    parameters: Sequence[str]
    trials: Sequence[records.TrialRecord]
    refused_points: int = 0
    refusals: Mapping[str, int] = dataclasses.field(default_factory=dict)
    running: Sequence[live.LiveAttempt] = ()
    wishes: Sequence[asked.Asked] = ()

    def standing_wishes(self) -> list[asked.Asked]:
        """What nobody has answered yet, and the last word on the study itself."""
        of_study = [wish for wish in self.wishes if wish.trial is None]
        return [wish for wish in self.wishes if wish.answer is None or wish in of_study[-1:]]

    def remarks(self) -> list[remarks.Remark]:
        """What a person should look at before they believe the rest."""
        return remarks.of(self.trials, self.refused_points, self.refusals)

    def render(self, chosen: Sequence[records.TrialRecord], width: int | None) -> str:
        """The whole text.

        Args:
            chosen: the trials to list, in this order.
            width: characters a line; None for as many as it takes.
        """
        lines = [self._head()]
        best = repeats.best_trial(self.trials, self.objectives)
        if best is not None:
            lines.append(f"best: {summaries.of(best)}")
        lines += [f"look at this: {remark.text}" for remark in self.remarks()]
        lines += [f"asked: {wish.sentence()}" for wish in self.standing_wishes()]
        lines = [wording.wrapped(line, width) for line in lines]
        if self.running:
            lines += ["", "running now:", *running_trials.lines(self.running, width)]
        if chosen:
            lines += ["", *self._table(chosen, width)]
        if self.refused_points:
            lines += ["", wording.wrapped(wording.refusals(self.refused_points, self.refusals), width)]
        return "\n".join(lines)

    def _head(self) -> str:
        found = wording.listed(counts(self.trials)) or "none yet"
        aims = ", ".join(f"{direction} {name}" for name, direction in self.objectives.items())
        trials = "1 trial" if len(self.trials) == 1 else f"{len(self.trials)} trials"
        return f"{self.name}: {trials} ({found}); {aims}"

    def _table(self, chosen: Sequence[records.TrialRecord], width: int | None) -> list[str]:
        same, every = self._columns(chosen, digits=4 if width is None else 3)
        table = columns.whole(every) if width is None else columns.fitted(every, width)
        lines = [wording.wrapped(f"the same in all of them: {wording.settings(same)}", width), ""] if same else []
        lines += table.lines
        if table.left_out:
            hint = f"no room for {', '.join(table.left_out)}: --wide shows all, --trial N all about one"
            lines += ["", wording.wrapped(hint, width)]
        if "why" in table.left_out:
            lines += ["", *(wording.wrapped(line, width) for line in _reasons(chosen))]
        return lines

    def _columns(
        self, chosen: Sequence[records.TrialRecord], digits: int
    ) -> tuple[dict[str, Any], list[columns.Column]]:
        """What is the same in all trials, and the columns of what is not, the most wanted first."""
        known = list(dict.fromkeys((*self.parameters, *(name for record in chosen for name in record.params))))
        same, differing = columns.of_parameters([record.params for record in chosen], known, digits)
        first, *others = [
            columns.Column(name, [wording.value(record.values.get(name)) for record in chosen], rank=rank)
            for rank, name in zip((0, *[_LATER] * len(self.objectives)), self.objectives, strict=False)
        ]
        return same, [
            columns.Column("trial", [str(record.number) for record in chosen]),
            columns.Column("state", [record.state for record in chosen], is_figure=False),
            first,
            *differing,
            *others,
            *_measured(chosen),
        ]


def counts(trials: Sequence[records.TrialRecord]) -> dict[str, int]:
    """State -> how many trials are in it; those in which none is are left out."""
    found = Counter(record.state for record in trials)
    return {state: found[state] for state in records.STATES if found[state]}


@dataclasses.dataclass(frozen=True)
class ShownStudy:
    """The JSON of `study show` (docs/reference/json.md): a study, with the trials that were asked for alone."""

    name: str
    directions: Mapping[str, str]
    counts: Mapping[str, int]
    best: int | None
    trials: Sequence[records.TrialRecord]
    refused_points: int
    refusals: Mapping[str, int]
    remarks: Sequence[str]
    running: Sequence[live.LiveAttempt]
    wishes: Sequence[asked.Asked]


def told(overview: Overview, chosen: Sequence[records.TrialRecord]) -> ShownStudy:
    """What scripts read of a study, with the chosen trials."""
    best = repeats.best_trial(overview.trials, overview.objectives)
    return ShownStudy(
        name=overview.name,
        directions=overview.objectives,
        counts=counts(overview.trials),
        best=None if best is None else best.number,
        trials=chosen,
        refused_points=overview.refused_points,
        refusals=overview.refusals,
        remarks=[remark.text for remark in overview.remarks()],
        running=overview.running,
        wishes=overview.standing_wishes(),
    )


def choose(
    overview: Overview, *, state: str | None, sort: str | None, reverse: bool, last: int | None
) -> list[records.TrialRecord]:
    """The trials that a person asked for, in the order they asked for; objectives and gain come best first.

    Raises:
        errors.BadInput: there is nothing of that name to sort by.
    """
    chosen = [record for record in overview.trials if state in (None, record.state)]
    if last is not None:
        chosen = chosen[-last:]
    if sort is not None:
        keys = {record.number: _key(overview, record, sort) for record in chosen}
        known = [record for record in chosen if keys[record.number] is not None]
        if chosen and not known:
            there = [*overview.objectives, "gain", "subject_similarity", "seconds", "state", *overview.parameters]
            raise errors.BadInput(f"--sort {sort}: no trial has it; there are {', '.join(there)}, and each metric")
        falling = overview.objectives.get(sort) == "maximize" or sort in ("gain", "subject_similarity")
        figures = all(isinstance(keys[record.number], int | float) for record in known)
        known.sort(key=lambda record: keys[record.number] if figures else str(keys[record.number]), reverse=falling)
        chosen = known + [record for record in chosen if keys[record.number] is None]
    return chosen[::-1] if reverse else chosen


def _key(overview: Overview, record: records.TrialRecord, name: str) -> Any:
    gained = None if record.gain is None else record.gain.value
    own = {"trial": record.number, "state": record.state, "seconds": record.seconds, "gain": gained}
    return {**record.metrics, **record.params, **record.values, **own}.get(name)


def _measured(chosen: Sequence[records.TrialRecord]) -> list[columns.Column]:
    """What was measured beside the objectives, as far as any trial has it."""
    gains = [None if record.gain is None else record.gain.value for record in chosen]
    found = [
        columns.Column("gain", ["-" if gain is None else wording.signed(gain) for gain in gains], rank=_LATER),
        columns.Column(
            "subject_similarity", [wording.value(record.subject_similarity, 3) for record in chosen], rank=_LATER
        ),
        columns.Column("seconds", [wording.value(record.seconds, 3) for record in chosen], rank=_LATER),
        columns.Column("why", [record.why() for record in chosen], is_figure=False, rank=_LATER),
    ]
    return [column for column in found if set(column.cells) - {"-", ""}]


def _reasons(chosen: Sequence[records.TrialRecord]) -> list[str]:
    """A line a trial that is not usable."""
    return [f"trial {record.number} is {record.state}: {record.why()}" for record in chosen if record.why()]
