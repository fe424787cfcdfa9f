"""The report's figures, drawn by optuna.visualization over an in-memory copy of the study."""

import dataclasses
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import optuna
from optuna import visualization
from plotly import colors, graph_objects

from optimizer.report import records

State = optuna.trial.TrialState


@dataclasses.dataclass(frozen=True)
class Panel:
    """A figure as Plotly's JSON, or the `reason` why there is none yet. `reading` says how to read it."""

    title: str
    reading: str
    figure: str | None = None
    reason: str | None = None


def draw(data: records.ReportData) -> list[Panel]:
    """All panels in reading order."""
    study = _study(data)
    usable = len(study.get_trials(deepcopy=False, states=(State.COMPLETE,)))
    names = list(data.objectives)
    return [
        *(_history(study, usable, index, names[index]) for index in range(len(names))),
        *_fronts(names, study, usable),
        *_curves(data),
        *(_importance(study, usable, index, names[index]) for index in range(len(names))),
        _panel(
            f"Parallel coordinates of {names[0]}",
            "Each line is a usable trial, from its result, on the left, through its parameters.",
            usable >= 2,
            "needs two usable trials",
            lambda: _recoloured(visualization.plot_parallel_coordinate(study, target=_target(0), target_name=names[0])),
        ),
    ]


def _history(study: optuna.Study, usable: int, index: int, name: str) -> Panel:
    direction = study.directions[index]
    best = min if direction == optuna.study.StudyDirection.MINIMIZE else max

    def plot() -> Any:
        figure = visualization.plot_optimization_history(study, target=_target(index), target_name=name)
        # Optuna leaves the line of the best out where a study has several objectives.
        done = study.get_trials(deepcopy=False, states=(State.COMPLETE,))
        so_far = list(itertools.accumulate((_target(index)(trial) for trial in done), best))
        figure.add_scatter(x=[trial.number for trial in done], y=so_far, mode="lines", name=f"best {name}")
        figure.data[-1].line.shape = "hv"
        return figure

    return _panel(
        f"History of {name}",
        f"Each point is a usable trial; the line is the best {name} so far ({direction.name.lower()}).",
        usable >= 1,
        "needs one usable trial",
        plot,
    )


def _importance(study: optuna.Study, usable: int, index: int, name: str) -> Panel:
    # PED-ANOVA asks what makes its target low, so what is to be maximised goes in negated (its warning says just that).
    sign = -1.0 if study.directions[index] == optuna.study.StudyDirection.MAXIMIZE else 1.0

    def plot() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            warnings.filterwarnings("error", "Target and region quantiles select the same", UserWarning)
            return visualization.plot_param_importances(
                study, target=lambda trial: sign * float(trial.values[index]), target_name=name
            )

    return _panel(
        f"Importance for {name}",
        f"How much each parameter decides whether a trial is among the best by {name} (PED-ANOVA). With few trials, or "
        "few for each choice, this is a hint, not a measurement.",
        usable >= 4,
        "needs four usable trials",
        plot,
    )


def _fronts(names: list[str], study: optuna.Study, usable: int) -> Iterator[Panel]:
    if len(names) in (2, 3):
        yield _panel(
            "Pareto front",
            f"Trials that no other beats in both or all of {', '.join(names)} are marked as best.",
            usable >= 1,
            "needs one usable trial",
            lambda: _without_scales(visualization.plot_pareto_front(study, target_names=names)),
        )


#: a trial's line by how it ended; a legend of every trial would hide the lines
_CURVE_COLORS = {"usable": "#2a9d8f", "stopped-early": "#e08e0b", "unusable": "#d1495b"}


def _curves(data: records.ReportData) -> Iterator[Panel]:
    """Scores while trials trained; no panel where the study takes none."""
    watched = [trial for trial in data.trials if trial.curve]
    if not watched:
        return

    def plot() -> Any:
        figure = graph_objects.Figure()
        shown: set[str] = set()
        for trial in watched:
            figure.add_scatter(
                x=list(trial.curve),
                y=list(trial.curve.values()),
                mode="lines+markers",
                marker_color=_CURVE_COLORS.get(trial.state, "#888"),
                name=trial.state,
                legendgroup=trial.state,
                showlegend=trial.state not in shown,
                hovertemplate=f"trial {trial.number}: %{{y:.4f}} after %{{x}} samples<extra></extra>",
            )
            shown.add(trial.state)
        return figure.update_layout(xaxis_title="training samples seen", yaxis_title=data.primary)

    yield _panel(
        f"{data.primary} during training",
        "Each line is a trial, at its evaluation points; fewer pictures are behind them than behind the final scores. "
        "The last point of a trial that was stopped early is where others were ahead of it.",
        True,
        "",
        plot,
    )


def _without_scales(figure: Any) -> Any:
    """Without the two colour bars that say which trial came when: they take a third of the room."""
    return figure.update_traces(marker_showscale=False)


def _recoloured(figure: Any) -> Any:
    """Lines in colours that stand out on a light page and on a dark one; Optuna draws the best nearly white."""
    for trace in figure.select_traces({"mode": "lines"}):
        trace.line.color = colors.sample_colorscale("Plasma", 0.25 + 0.55 * trace.y[0])[0]
        trace.opacity = 0.85
    for annotation in figure.layout.annotations:
        annotation.font.color = None
    return _without_scales(figure)


def _panel(title: str, reading: str, enough: bool, needs: str, plot: Callable[[], Any]) -> Panel:
    if not enough:
        return Panel(title, reading, reason=f"Not enough trials yet: this figure {needs}.")
    try:
        return Panel(title, reading, figure=_json(plot()))
    except UserWarning:
        return Panel(title, reading, reason="The trials differ too little for this figure.")
    except (ValueError, RuntimeError) as error:
        return Panel(title, reading, reason=f"This figure cannot be drawn: {error}")


def _target(index: int) -> Callable[[optuna.trial.FrozenTrial], float]:
    return lambda trial: float(trial.values[index])


def _study(data: records.ReportData) -> optuna.Study:
    """The same trials under the same numbers; all but the usable ones are only placeholders."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # that a study was made in memory is nobody's news
    study = optuna.create_study(directions=list(data.objectives.values()), study_name=data.name)
    study.add_trials([_trial(data, number) for number in range(len(data.trials))])
    return study


def _trial(data: records.ReportData, number: int) -> optuna.trial.FrozenTrial:
    record = data.trials[number]
    values = [record.values.get(name) for name in data.objectives]
    if record.state != "usable" or None in values:
        return optuna.trial.create_trial(state=State.FAIL)
    return optuna.trial.create_trial(
        state=State.COMPLETE,
        params=dict(record.params),
        distributions=dict(data.distributions[record.number]),
        values=[float(value) for value in values if value is not None],
    )


def _json(figure: Any) -> str:
    """The figure's data and layout; its colours and fonts are the page's to choose, light or dark."""
    content = json.loads(figure.to_json())
    layout = content["layout"]
    for key in ("template", "title", "width", "height", "plot_bgcolor", "paper_bgcolor"):
        layout.pop(key, None)
    return json.dumps({"data": content["data"], "layout": layout}, separators=(",", ":"))
