"""Points that people name, judged before they wait for their turn: could they become trials at all?"""

from collections.abc import Mapping
from typing import Any

from constraints.names import domain as domains
from constraints.proving import sample
from constraints.rules import ruleset as rulesets
from optimizer.designs import judgement
from optimizer.forecast import situation as situations
from optimizer.study import resolved as studies

#: points that are looked at where a person leaves parameters out
_POINTS = 4096


def refused_by(
    study: studies.Study, rules: rulesets.RuleSet, situation: situations.Situation, point: Mapping[str, Any]
) -> tuple[str, ...]:
    """The rules that refuse a point, whatever is drawn for the parameters that it leaves out; empty where none has to.

    Args:
        situation: what is known before a point is drawn, with estimates where the rules ask for them.
        point: values of the study's domains.
    """
    space = {
        name: domains.Domain(name=name, kind="choice", choices=(point[name],), when=domain.when)
        if name in point
        else domain
        for name, domain in study.space.items()
    }
    columns = sample.draw(space, study.fixed).fewer(_POINTS).columns
    admission = judgement.Admission(study, rules, situation)
    if (admission.weigh(columns) > 0).any():
        return ()
    return admission.judge(_first(columns)).refused_by


def _first(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The first of a table of points, without what is not set there."""
    values = {name: column[0] for name, column in columns.items()}
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if value is not None and value == value}  # noqa: PLR0124 (NaN)
