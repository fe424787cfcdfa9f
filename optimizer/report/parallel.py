"""Parallel coordinates: a line a usable trial, from its result through its parameters; what is not set lies below."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from plotly import colors, graph_objects

from optimizer import wording
from optimizer.report import panels, records
from optimizer.results import records as trial_records

#: where a parameter that a trial does not have is drawn; axes run from 0 to 1
_UNSET = -0.16
#: trials that are drawn, the best; more lines would hide each other
_MOST_TRIALS = 300
#: pixels between two axes, so that their labels do not touch
_AXIS_PIXELS = 104


def panel(data: records.ReportData) -> panels.Panel:
    """The figure, coloured and begun by the first objective."""
    first = next(iter(data.objectives))
    found = [trial for trial in data.trials if trial.state == "usable" and trial.values.get(first) is not None]
    sign = 1.0 if data.objectives[first] == "maximize" else -1.0
    # worst first, so that the best lie on top
    usable = sorted(found, key=lambda each: sign * (each.values[first] or 0.0))[-_MOST_TRIALS:]
    left_out = f" Only the best {len(usable)} of {len(found)} are drawn." if len(usable) < len(found) else ""
    names = _differing(usable)
    return panels.panel(
        f"Parallel coordinates of {first}",
        "Each line is a usable trial, from its result, on the left, through its parameters. Parameters that are the "
        "same in all of them are left out; a line that dips below an axis has no such parameter." + left_out,
        len(usable) >= 2,
        "needs two usable trials",
        lambda: _figure(data, usable, first, names),
        is_wide=True,
        least_width=_AXIS_PIXELS * (1 + len(names)) + 60,
    )


def _differing(usable: Sequence[trial_records.TrialRecord]) -> list[str]:
    names = dict.fromkeys(name for trial in usable for name in trial.params)
    return [name for name in names if len({trial.params.get(name) for trial in usable}) > 1]


class _Axis:
    """One axis: where a value lies on it, from 0 to 1, and what is written beside it."""

    def __init__(self, name: str, values: Sequence[Any], form: BaseDistribution | None) -> None:
        self.name = name
        known = [value for value in values if value is not None]
        self.has_unset = len(known) < len(values)
        figures = form is None or isinstance(form, FloatDistribution | IntDistribution)
        self._log = bool(getattr(form, "log", False)) and min(known) > 0
        if figures:
            self._choices: list[Any] = []
            self._low, self._high = self._scaled(min(known)), self._scaled(max(known))
        else:
            choices = dict.fromkeys(known)
            ordered = all(isinstance(value, int | float) for value in choices)
            self._choices = sorted(choices) if ordered else list(choices)

    def place(self, value: Any) -> float:
        if value is None:
            return _UNSET
        if self._choices:
            return self._choices.index(value) / (len(self._choices) - 1) if len(self._choices) > 1 else 0.5
        if self._high == self._low:
            return 0.5
        return (self._scaled(value) - self._low) / (self._high - self._low)

    def labels(self) -> Mapping[float, str]:
        """Place -> what is written there."""
        if self._choices:
            return {self.place(choice): wording.value(choice).replace("_", "<br>") for choice in self._choices}
        middle = (self._low + self._high) / 2
        values = [10**at if self._log else at for at in (self._low, middle, self._high)]
        return dict(zip((0.0, 0.5, 1.0), (wording.value(float(value), 3) for value in values), strict=True))

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else float(value)


def _figure(
    data: records.ReportData, usable: Sequence[trial_records.TrialRecord], first: str, names: Sequence[str]
) -> graph_objects.Figure:
    forms = {name: form for trial in usable for name, form in data.distributions[trial.number].items()}
    scores = [trial.values[first] for trial in usable]
    axes = [_Axis(first, scores, None)]
    axes += [_Axis(name, [trial.params.get(name) for trial in usable], forms.get(name)) for name in names]
    figure = graph_objects.Figure()
    for trial in usable:
        places = [axes[0].place(trial.values[first])]
        places += [axis.place(trial.params.get(axis.name)) for axis in axes[1:]]
        told = {first: trial.values[first], **{name: trial.params[name] for name in names if name in trial.params}}
        figure.add_scatter(
            x=list(range(len(axes))),
            y=places,
            mode="lines+markers",
            line={"color": colors.sample_colorscale("Plasma", 0.2 + 0.6 * places[0])[0], "width": 2},
            marker={"size": 5},
            opacity=0.85,
            showlegend=False,
            hovertemplate=f"trial {trial.number}<br>"
            + "<br>".join(f"{name} {wording.value(value)}" for name, value in told.items()).replace("%", "%%")
            + "<extra></extra>",
        )
    for at, axis in enumerate(axes):
        figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, line={"color": "#888", "width": 1}, layer="below")
        head = axis.name.replace("_", "<br>")
        figure.add_annotation(x=at, y=1.06, text=f"<b>{head}</b>", showarrow=False, yanchor="bottom", font={"size": 11})
        for place, label in axis.labels().items():
            figure.add_annotation(
                x=at,
                y=place,
                text=label,
                showarrow=False,
                xanchor="left",
                yanchor="top" if place == 1 else "middle",
                xshift=6,
                align="left",
                font={"size": 10},
                opacity=0.9,
            )
        if axis.has_unset:
            figure.add_annotation(
                x=at, y=_UNSET, text="not set", showarrow=False, yanchor="top", yshift=-5, font={"size": 10}
            )
    return figure.update_layout(
        xaxis={"visible": False, "range": [-0.35, len(axes) - 0.2], "fixedrange": True},
        yaxis={"visible": False, "range": [_UNSET - 0.12, 1.42], "fixedrange": True},
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        height=420,
    )
