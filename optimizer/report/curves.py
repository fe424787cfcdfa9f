"""What trials told while they trained: loss, gradient norm and learning rate by step, from their own event files."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from plotly import graph_objects

from optimizer.report import panels
from optimizer.results import records as trial_records
from trainers.contract import errors as trainer_errors
from trainers.contract import events

#: points of a line; more would only make the file large
_POINTS = 200
#: trials that are drawn, the newest
MOST_TRIALS = 40

#: a trial's line by how it ended; a legend of every trial would hide the lines
COLORS = {"usable": "#2a9d8f", "stopped-early": "#e08e0b", "unusable": "#d1495b"}


@dataclasses.dataclass(frozen=True)
class Curve:
    """Signals of one trial at its told steps; None where one was not finite or not told."""

    steps: Sequence[int]
    loss: Sequence[float | None]
    grad_norm: Sequence[float | None]
    learning_rate: Sequence[float | None]


def read(directory: pathlib.Path) -> Curve | None:
    """The curve of the trial that trained in `directory`, all attempts together; None where nothing is left of it."""
    told: dict[int, Mapping[str, object]] = {}
    for file in sorted(directory.glob("attempt-*/events.jsonl")):
        try:
            told |= {int(event.data["step"]): event.data for event in events.read(file)[0] if event.event == "step"}
        except (trainer_errors.TrainersError, OSError, KeyError, TypeError, ValueError):
            continue  # a curve is beside the point of a report; what can be read is drawn
    if not told:
        return None
    steps = sorted(told)
    steps = [*steps[:: max(1, -(-len(steps) // _POINTS))], *([steps[-1]] if len(steps) > _POINTS else [])]
    return Curve(
        steps,
        *(
            [events.number(told[step].get(name)) for step in steps]
            for name in ("loss_ema", "grad_norm", "learning_rate_now")
        ),
    )


def draw(trials: Sequence[trial_records.TrialRecord], curves: Mapping[int, Curve]) -> Iterator[panels.Panel]:
    """A panel a signal; none where no trial has told any."""
    shown = [trial for trial in trials if trial.number in curves]
    if not shown:
        return
    signals: list[tuple[str, str, Callable[[Curve], Sequence[float | None]], str]] = [
        ("Loss", "the running mean of the loss", lambda curve: curve.loss, "linear"),
        ("Gradient norm", "the norm of the gradient before clipping", lambda curve: curve.grad_norm, "log"),
        ("Learning rate", "the rate that the scheduler gave", lambda curve: curve.learning_rate, "log"),
    ]
    for title, what, values, scale in signals:
        yield panels.panel(
            f"{title} during training",
            f"Each line is a trial: {what}, by optimizer step. Its colour says how the trial ended.",
            True,
            "",
            lambda values=values, title=title, scale=scale: _figure(shown, curves, values, title, scale),  # type: ignore[misc]
        )


def _figure(
    shown: Sequence[trial_records.TrialRecord],
    curves: Mapping[int, Curve],
    values: Callable[[Curve], Sequence[float | None]],
    title: str,
    scale: str,
) -> graph_objects.Figure:
    figure = graph_objects.Figure()
    named: set[str] = set()
    for trial in shown:
        curve = curves[trial.number]
        figure.add_scatter(
            x=list(curve.steps),
            y=list(values(curve)),
            mode="lines",
            line={"color": COLORS.get(trial.state, "#888"), "width": 1.5},
            opacity=0.8,
            name=trial.state,
            legendgroup=trial.state,
            showlegend=trial.state not in named,
            hovertemplate=f"trial {trial.number}: %{{y:.4g}} at step %{{x}}<extra></extra>",
        )
        named.add(trial.state)
    figure.update_layout(xaxis={"title": {"text": "optimizer step"}}, yaxis={"title": {"text": title.lower()}})
    if scale == "log":
        figure.update_layout(yaxis={"type": "log", "exponentformat": "power", "dtick": 1})
    return figure
