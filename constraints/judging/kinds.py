"""The kinds of rules, and what each of them means: when it is judged, and what comes of a rule that is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from constraints.names.scope import Moment

RuleKind: TypeAlias = Literal["refuse", "require", "discourage", "stop", "expect"]
#: what comes of a broken rule
RuleEffect: TypeAlias = Literal["refused", "discouraged", "stopped", "unusable"]


@dataclass(frozen=True)
class RuleMeaning:
    """What a kind of rule means.

    Attributes:
        moment: when it is judged: before a trial, while it runs, on its result.
        effect: what comes of it where it is broken.
        must_hold: whether a rule file says what must hold; otherwise it says what must not.
    """

    moment: Moment
    effect: RuleEffect
    must_hold: bool = False


#: in the order in which people are told of them
KINDS: Mapping[RuleKind, RuleMeaning] = {
    "refuse": RuleMeaning("before", "refused"),
    "require": RuleMeaning("before", "refused", must_hold=True),
    "discourage": RuleMeaning("before", "discouraged"),
    "stop": RuleMeaning("running", "stopped"),
    "expect": RuleMeaning("result", "unusable", must_hold=True),
}


def with_effect(effect: RuleEffect) -> tuple[RuleKind, ...]:
    """The kinds of that effect."""
    return tuple(kind for kind, meaning in KINDS.items() if meaning.effect == effect)


#: kinds that may refuse a point, and all that are judged before a trial
HARD = with_effect("refused")
BEFORE = tuple(kind for kind, meaning in KINDS.items() if meaning.moment == "before")
#: what an example may say, and the kinds of rules it says it about
OUTCOMES: Mapping[str, tuple[RuleKind, ...]] = {
    f"{meaning.effect}_by": with_effect(meaning.effect) for meaning in KINDS.values()
}
