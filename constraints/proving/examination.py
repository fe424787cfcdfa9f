"""What `rules check` answers: a finding for each rule, what is left of the space, and what no feasible point uses."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import pydantic

from constraints.judging import kinds

Value = TypeVar("Value")
#: for people alone: no part of the JSON
NotTold = Annotated[Value, pydantic.Field(exclude=True)]
RuleStatus: TypeAlias = Literal["live", "never-fires", "always-fires", "redundant", "not-decided"]

#: how many values or ranges of one parameter are written out for a person
_MOST_LISTED = 12


@dataclass(frozen=True)
class Finding:
    """What is known of one rule.

    Attributes:
        status: for hard rules all five; for the others whether they can fire.
        refused_share: share of the space that the rule refuses (a soft rule: discourages); 0 for stop and expect.
        alone_share: share that it alone refuses.
        standard_error: of `refused_share`.
        why: one sentence; begins with 'sampled, not proved' where z3 cannot express the rule.
    """

    id: str
    kind: str
    status: RuleStatus
    refused_share: float
    alone_share: float
    standard_error: NotTold[float]
    why: str


@dataclass(frozen=True)
class Examination:
    """The answer of `rules check`; a range of unreachable numbers is its two ends.

    Attributes:
        contradiction: rules that cannot all be kept, none of which can be left out; empty where none was found.
        feasible: whether some point keeps all hard rules; None where that could not be decided.
        doubt: why it could not.
        suspects: where no judged point keeps them all and nothing was proved, rules that refuse all of these points.
        points: how many points were judged.
        exact: whether these are all points of the space.
        absent: parameters that the rules name and the study does not have.
    """

    feasible_share: float
    standard_error: float
    contradiction: tuple[str, ...]
    feasible: bool | None
    rules: tuple[Finding, ...]
    unreachable: Mapping[str, tuple[Any, ...]]
    exact: NotTold[bool]
    absent: NotTold[tuple[str, ...]]
    points: NotTold[int] = 0
    doubt: NotTold[str] = ""
    suspects: NotTold[tuple[str, ...]] = ()

    @property
    def leaves_nothing(self) -> bool:
        """Whether no feasible point is known: none exists, or none was found and none was shown to exist."""
        return self.feasible is False or (self.feasible is None and self.feasible_share == 0)

    def render(self, width: int | None = None) -> str:
        """The examination as text; lines are broken at `width` characters, a rule a line where it is None."""
        lines = [*_wrapped(self._headline(), width, "", "  ")]
        for rows in self._table(width):
            lines += rows
        for name, found in self.unreachable.items():
            lines += _wrapped(f"no feasible point uses {name}: {listed(found)}", width, "  ", "    ")
        for name in self.absent:
            text = f"the study has no parameter '{name}': rules that need it never apply"
            lines += _wrapped(text, width, "  ", "    ")
        return "\n".join(lines)

    def _headline(self) -> str:
        if self.contradiction:
            clash = listed(self.contradiction)
            what = f"{clash} cannot all be kept" if len(self.contradiction) > 1 else f"{clash} refuses every point"
            return f"nothing is feasible: {what}{' (every point counted)' if self.exact else ''}"
        if self.feasible is None and self.feasible_share == 0:
            suspects = f"; {listed(self.suspects)} refuse all of them" if self.suspects else ""
            how = f"sampled, not proved ({self.doubt})"
            return f"none of {self.points:,} sampled points is feasible: {how}{suspects}"
        if self.feasible_share == 0:
            return f"a feasible point exists, but none of {self.points:,} sampled points is one"
        error = "every point counted" if self.exact else f"standard error {self.standard_error:.2%}"
        return f"{self.feasible_share:.2%} of the space is feasible ({error})"

    def _table(self, width: int | None) -> Iterator[list[str]]:
        """The rules in columns, with the reason beside them where it fits; below each other where they do not fit."""
        if not self.rules:
            return
        longest = max(len(finding.id) for finding in self.rules)
        columns = f"  {'rule':{longest}}  {'kind':10}  {'status':12}  refuses    alone"
        narrow = width is not None and len(columns) > width
        if not narrow:
            yield [columns]
        for finding in self.rules:
            has_shares = finding.kind in kinds.BEFORE
            shares = f"  {finding.refused_share:7.2%}  {finding.alone_share:7.2%}" if has_shares else ""
            if narrow:
                verb = "discourages" if finding.kind not in kinds.HARD else "refuses"
                alone = "" if finding.kind not in kinds.HARD else f", alone {finding.alone_share:.2%}"
                said = f"{verb} {finding.refused_share:.2%}{alone}" if shares else ""
                row = "  ".join(filter(None, [finding.kind, finding.status, said]))
                yield [
                    *_wrapped(finding.id, width, "  ", "  "),
                    *_wrapped(row, width, "    ", "    "),
                    *_wrapped(finding.why, width, "    ", "    "),
                ]
                continue
            row = f"  {finding.id:{longest}}  {finding.kind:10}  {finding.status:12}{shares or ' ' * 18}"
            whole = f"{row}  {finding.why}".rstrip()
            if width is None or len(whole) <= width:
                yield [whole]
            else:
                yield [row.rstrip(), *_wrapped(finding.why, width, "      ", "      ")]


def listed(found: Sequence[Any], word: str = "and") -> str:
    """Values and ranges in words; of many the first."""
    texts = [f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else str(value) for value in found]
    if len(texts) > _MOST_LISTED:
        return f"{', '.join(texts[:_MOST_LISTED])} {word} {len(texts) - _MOST_LISTED} more"
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}" if texts else ""


def _wrapped(text: str, width: int | None, first: str, rest: str) -> list[str]:
    if not text:
        return []
    if width is None:
        return [first + text]
    least = max(width, 20)
    return textwrap.wrap(text, least, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
