"""The report's figures, over an in-memory copy of the study."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import optuna
from optuna import visualization
from optuna.trial import TrialState
from plotly import graph_objects

from optimizer.report import curves, importance, panels, parallel, records


def draw(data: records.ReportData) -> list[panels.Panel]:
    """All panels in reading order."""
    study = _study(data)
    usable = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    names = list(data.objectives)
    return [
        *(_history(study, usable, index, names[index]) for index in range(len(names))),
        *_fronts(names, study, usable),
        *_scores(data),
        *curves.draw(data.trials, data.curves),
        *(importance.panel(study, index, names[index]) for index in range(len(names))),
        parallel.panel(data),
    ]


def _history(study: optuna.Study, usable: int, index: int, name: str) -> panels.Panel:
    direction = study.directions[index]
    best = min if direction == optuna.study.StudyDirection.MINIMIZE else max

    def plot() -> Any:
        figure = visualization.plot_optimization_history(study, target=_target(index), target_name=name)
        # Optuna leaves the line of the best out where a study has several objectives.
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        so_far = list(itertools.accumulate((_target(index)(trial) for trial in done), best))
        figure.add_scatter(x=[trial.number for trial in done], y=so_far, mode="lines", name=f"best {name}")
        figure.data[-1].line.shape = "hv"
        return figure.update_layout(yaxis=panels.axis(name), xaxis={"title": {"text": "trial"}})

    return panels.panel(
        f"History of {name}",
        f"Each point is a usable trial; the line is the best {name} so far ({direction.name.lower()}).",
        usable >= 1,
        "needs one usable trial",
        plot,
    )


def _fronts(names: list[str], study: optuna.Study, usable: int) -> Iterator[panels.Panel]:
    if len(names) not in (2, 3):
        return

    def plot() -> Any:
        figure = visualization.plot_pareto_front(study, target_names=names)
        # without the two colour bars that say which trial came when: they take a third of the room
        figure.update_traces(marker_showscale=False)
        if len(names) == 2:
            figure.update_layout(xaxis=panels.axis(names[0]), yaxis=panels.axis(names[1]))
        return figure

    yield panels.panel(
        "Pareto front",
        f"Trials that no other beats in both or all of {', '.join(names)} are marked as best.",
        usable >= 1,
        "needs one usable trial",
        plot,
    )


def _scores(data: records.ReportData) -> Iterator[panels.Panel]:
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
                marker_color=curves.COLORS.get(trial.state, "#888"),
                name=trial.state,
                legendgroup=trial.state,
                showlegend=trial.state not in shown,
                hovertemplate=f"trial {trial.number}: %{{y:.4f}} after %{{x}} samples<extra></extra>",
            )
            shown.add(trial.state)
        return figure.update_layout(xaxis={"title": {"text": "training samples seen"}}, yaxis=panels.axis(data.primary))

    yield panels.panel(
        f"{data.primary} during training",
        "Each line is a trial, at its milestones; fewer pictures are behind them than behind the final scores. "
        "The last milestone of a trial that was stopped early is where others were ahead of it.",
        True,
        "",
        plot,
    )


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
        return optuna.trial.create_trial(state=TrialState.FAIL)
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        params=dict(record.params),
        distributions=dict(data.distributions[record.number]),
        values=[float(value) for value in values if value is not None],
    )
