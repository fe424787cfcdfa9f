"""Why a trial may train: what the rules said of it, by the versions in force."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from optimizer import jsonable, wording
from storage import judgements, rule_versions

#: margins that are shown of one judgement, those nearest to their rule's boundary
_NEAREST = 3


@dataclasses.dataclass(frozen=True)
class Judged:
    """One judgement of a trial.

    Attributes:
        origin: sampled, enqueued, repeat or taken-up.
        rules: all versions in force, as `name@number`.
        verdict: accepted, discouraged or refused (it goes on, where it was begun under older rules).
        weight: product of the weights of the soft rules that apply.
        margins: rule -> how far outside (above 0) or inside (below 0) it is.
        undecided: rule -> why it could not be decided.
        facts: what was known beside the parameters.
    """

    origin: str
    worker: str
    judged_at: jsonable.Timestamp
    rules: Sequence[str]
    verdict: str
    refused_by: Sequence[str]
    discouraged_by: Sequence[str]
    weight: float
    margins: Mapping[str, float]
    undecided: Mapping[str, str]
    facts: Mapping[str, Any]

    def sentences(self) -> str:
        """In a few lines: the verdict and its rule versions, then what came nearest to being refused."""
        by = ", ".join((*self.refused_by, *self.discouraged_by))
        weighed = f", weight {wording.value(self.weight)}" if self.discouraged_by else ""
        versions = ", ".join(self.rules) or "no rules"
        began = self.judged_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        lines = [f"{self.verdict}{f' by {by}' if by else ''}{weighed}, under {versions}, {began}"]
        nearest = sorted(self.margins.items(), key=lambda each: abs(each[1]))[:_NEAREST]
        lines += [f"{rule}: {wording.value(abs(margin), 3)} {_side(margin)}" for rule, margin in nearest]
        lines += [f"{rule} could not be decided: {why}" for rule, why in self.undecided.items()]
        return "\n".join(lines)


def of(kept: judgements.RecordedJudgement, versions: Mapping[int, rule_versions.RuleVersion]) -> Judged:
    """A judgement as it is shown, with the rule versions that it names."""
    said = kept.judgement
    rules = [versions[each] for each in said.rule_version_ids]
    return Judged(
        origin=said.origin,
        worker=kept.worker_id,
        judged_at=kept.judged_at,
        rules=tuple(f"{rule.set_name}@{rule.number}" for rule in rules),
        verdict="refused" if said.refused_by else "discouraged" if said.discouraged_by else "accepted",
        refused_by=said.refused_by,
        discouraged_by=said.discouraged_by,
        weight=said.weight,
        margins=said.margins,
        undecided=said.undecided,
        facts=said.facts,
    )


def _side(margin: float) -> str:
    return "outside" if margin > 0 else "inside"
