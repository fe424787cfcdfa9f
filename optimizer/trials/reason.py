"""Why a trial may run, as it is kept: what the rules in force said of it, and on what facts."""

from collections.abc import Mapping, Sequence
from typing import Any

from constraints.judging import verdict as verdicts
from optimizer.designs import judgement
from optimizer.study import resolved as studies
from storage import judgements


def of(
    admission: judgement.Admission,
    version_ids: Sequence[int],
    origin: judgements.TrialOrigin,
    params: Mapping[str, Any],
    verdict: verdicts.Verdict | None,
) -> judgements.Judgement:
    """The judgement of a point that is begun, or gone on with.

    Args:
        admission: the rules, and what is known, at this moment; `version_ids` are those of the rules.
        params: sampled parameters.
        verdict: of the point, where it was judged already.
    """
    said = verdict or admission.judge(params)
    facts = admission.situation.facts(studies.complete(admission.study, params))
    return judgements.Judgement(
        origin=origin,
        rule_version_ids=tuple(version_ids),
        weight=said.weight,
        refused_by=said.refused_by,
        discouraged_by=said.discouraged_by,
        margins=admission.rules.margins(params, facts=facts),
        undecided=said.undecided,
        facts=facts,
    )
