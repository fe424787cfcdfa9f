"""The kinds of rules, and what a rule file's examples may say of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

RuleKind: TypeAlias = Literal["refuse", "require", "discourage", "stop", "expect"]
KINDS: tuple[RuleKind, ...] = ("refuse", "require", "discourage", "stop", "expect")
#: what an example may say, and the kinds of rules it says it about
OUTCOMES: Mapping[str, tuple[RuleKind, ...]] = {
    "refused_by": ("refuse", "require"),
    "discouraged_by": ("discourage",),
    "stopped_by": ("stop",),
    "unusable_by": ("expect",),
}
