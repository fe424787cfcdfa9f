"""How much each parameter decides whether a trial is among the best (PED-ANOVA), said only where trials suffice.

A conditional parameter is judged over the trials in which it is set, and those alone: from four of them it would look
as important as chance makes it.
"""

import warnings
from collections.abc import Callable

import optuna
from optuna.trial import TrialState
from plotly import graph_objects

from optimizer.report import panels

#: usable trials in which a parameter must be set to be judged
FEWEST = 10


def panel(study: optuna.Study, index: int, name: str) -> panels.Panel:
    """The importances for objective number `index`."""
    usable = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    counts: dict[str, int] = {}
    for trial in usable:
        for parameter in trial.params:
            counts[parameter] = counts.get(parameter, 0) + 1
    judged = {parameter: count for parameter, count in counts.items() if count >= FEWEST}
    left_out = {parameter: count for parameter, count in counts.items() if count < FEWEST}
    reading = (
        f"How much each parameter decides whether a trial is among the best by {name} (PED-ANOVA; the longest bar "
        "is 1). With few trials, or few for each choice, this is a hint, not a measurement."
    )
    some = [f"{parameter} over {count}" for parameter, count in judged.items() if count < len(usable)]
    if some:
        reading += f" Conditional parameters count over the trials that have them: {', '.join(some)} of {len(usable)}."
    if left_out and judged:
        missing = ", ".join(f"{parameter} ({count})" for parameter, count in left_out.items())
        reading += f" Not shown, being set in fewer than {FEWEST} usable trials: {missing}."
    return panels.panel(
        f"Importance for {name}",
        reading,
        bool(judged),
        f"needs {FEWEST} usable trials in which a parameter is set",
        lambda: _bars(study, judged, index),
    )


def _bars(study: optuna.Study, judged: dict[str, int], index: int) -> graph_objects.Figure:
    found = {parameter: _importance(study, parameter, _target(study, index)) for parameter in judged}
    most = max(found.values())
    if most <= 0:
        raise UserWarning("no parameter decides anything")
    ordered = sorted(found, key=lambda parameter: found[parameter])
    figure = graph_objects.Figure()
    figure.add_bar(
        x=[found[parameter] / most for parameter in ordered],
        y=[parameter.replace("_", " ") for parameter in ordered],
        orientation="h",
        hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )
    return figure.update_layout(xaxis={"range": [0, 1.02], "title": {"text": "importance"}}, showlegend=False)


def _importance(study: optuna.Study, parameter: str, target: Callable[[optuna.trial.FrozenTrial], float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.filterwarnings("error", "Target and region quantiles select the same", UserWarning)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = evaluator.evaluate(study, params=[parameter], target=target)
    return found.get(parameter, 0.0)


def _target(study: optuna.Study, index: int) -> Callable[[optuna.trial.FrozenTrial], float]:
    """PED-ANOVA asks what makes its target low, so what is to be maximised goes in negated (its warning says so)."""
    sign = -1.0 if study.directions[index] == optuna.study.StudyDirection.MAXIMIZE else 1.0
    return lambda trial: sign * float(trial.values[index])
