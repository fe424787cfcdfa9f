"""`rules check`: what rules do to a space, counted or proved where it can be, and sampled where it cannot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from constraints.judging.judge import Bools, Clause, Judge, Rule
from constraints.judging.kinds import BEFORE, HARD, KINDS
from constraints.names.domain import Domain, Value
from constraints.proving import sample, witness
from constraints.proving.count import Count
from constraints.proving.examination import Examination, Finding, RuleStatus, listed
from constraints.proving.prove import Prover
from constraints.rules.ruleset import RuleSet
from constraints.text.document import nearest
from constraints.text.expression import And, Comparison, Membership, Name, Node, Not, Number, Or, Text, to_text

SECONDS = 5.0
#: below this share of a range, a gap between the sampled feasible points and the range's end is not looked into
_LEAST_GAP = 0.01
#: parameters with more values than this have their unreachable values told as ranges
_FEW = 64
_BISECTIONS = 20

#: what is said of rules that no point breaks before it is tried
_WHEN = {"running": "judged while a trial runs", "result": "judged on its result"}

#: from columns of parameters, shape (points,), to the facts that hold there
FactsAt: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def examine(rules: RuleSet, seconds: float = SECONDS, facts_at: FactsAt | None = None) -> Examination:
    """Examines rules in their study's space. Facts that nobody gives may be anything.

    Args:
        rules: a loaded rule set.
        seconds: time limit for the proofs; what is open then is 'not-decided'.
        facts_at: what is known of each point beside its parameters. Such facts are sampled, never proved.
    """
    return _Examiner(rules, seconds, facts_at).run()


class _Examiner:
    def __init__(self, rules: RuleSet, seconds: float, facts_at: FactsAt | None) -> None:
        self._rules = rules
        self._facts_at = facts_at
        self._space = rules.space
        self._hard = [rule.id for rule in rules.rules if rule.kind in HARD]
        self._seconds = seconds
        #: facts that a rule names and z3 knows nothing of
        self._facts = {rule.id: names for rule in rules.rules if (names := self._facts_of(rule))}
        self._unknown = {} if facts_at else self._facts
        self._doubt = ""

    def run(self) -> Examination:
        kept = self._count.kept(self._hard)
        share, error = self._sample.share(kept)
        feasible = self._some((), self._hard)
        if feasible and not kept.any():
            feasible = self._solved()
        doubt = self._doubt
        clash = self._clash((), self._hard) if feasible is False else ()
        return Examination(
            feasible_share=share,
            standard_error=error,
            contradiction=clash,
            feasible=feasible,
            rules=tuple(self._finding(rule) for rule in self._rules.rules),
            unreachable=self._unreachable(kept) if kept.any() else {},
            exact=self._sample.exact,
            absent=self._rules.absent,
            points=self._sample.points,
            doubt=doubt,
            suspects=() if clash or feasible else self._count.clash((), self._hard),
        )

    @cached_property
    def _sample(self) -> sample.Sample:
        return sample.draw(self._space, self._rules.fixed)

    @cached_property
    def _prover(self) -> Prover:
        rules = self._rules
        return Prover(rules.rules, rules.space, rules.scope, rules.facts, self._seconds)

    @cached_property
    def _count(self) -> Count:
        """Where each rule before a trial fires in the sample, but for rules whose facts are not known."""
        judged = [rule for rule in self._rules.rules if rule.kind in BEFORE and rule.id not in self._unknown]
        result = Judge(judged).check(self._known, self._sample.points)
        fired = result.broken | result.undecided
        masks = {rule.id: row for rule, row in zip(judged, fired, strict=True)}
        return Count(masks, self._sample.points, self._sample.exact)

    @cached_property
    def _known(self) -> Mapping[str, Any]:
        return {**self._rules.facts, **self._sampled_facts, **self._sample.columns}

    @cached_property
    def _sampled_facts(self) -> Mapping[str, Any]:
        if self._facts_at is None or not self._facts:
            return {}
        return self._facts_at({**self._rules.fixed, **self._sample.columns})

    def _facts_of(self, rule: Rule) -> set[str]:
        """Facts that a rule before a trial names and that the rule set does not hold."""
        facts = [name for name in rule.scope.inputs(rule.broken) if rule.scope[name].role == "fact"]
        return {name for name in facts if name not in self._rules.facts}

    # -- questions -------------------------------------------------------------------------------------------------

    def _some(self, breaks: Sequence[str], keeps: Sequence[str]) -> bool | None:
        """Whether some point breaks and keeps rules: by the points first, which have the last word where they are all.

        To z3 facts are free: what it finds could be so under other facts alone, where facts are known at each point.
        """
        shown = self._count.some(breaks, keeps)
        if shown is not None:
            return shown
        found = self._prover.some(breaks, keeps)
        self._doubt = self._prover.doubt
        sampled = [name for id_ in (*breaks, *keeps) if id_ in self._count.masks for name in self._facts.get(id_, ())]
        if found and sampled:
            self._doubt = f"z3 knows nothing of {listed(sorted(set(sampled)))}"
            return None
        return found

    def _clash(self, breaks: Sequence[str], keeps: Sequence[str]) -> tuple[str, ...]:
        """Rules that no point keeps which breaks the first ones."""
        counted = self._count.clash(breaks, keeps) if self._sample.exact else ()
        return counted or self._prover.clash(breaks, keeps)

    def _solved(self) -> bool | None:
        """Whether the point that z3 solves for, where no sampled one is feasible, is feasible to the judge, too."""
        solved = witness.seek(self._rules, self._rules.facts, self._seconds).point
        if solved is not None:
            facts = self._facts_at({**self._rules.fixed, **solved}) if self._facts_at else None
            if self._unknown or not self._rules.check_point(solved, facts).refused_by:
                return True
        self._doubt = "z3 solves for points that rounding or unknown facts refuse"
        return None

    # -- rules -----------------------------------------------------------------------------------------------------

    def _finding(self, rule: Rule) -> Finding:
        mask = self._count.masks.get(rule.id)
        share, error = (0.0, 0.0) if mask is None else self._sample.share(mask)
        alone_share = 0.0
        if mask is not None and rule.id in self._hard:
            others = [other for other in self._hard if other != rule.id]
            alone_share = self._sample.share(self._count.alone(rule.id, others))[0]
        status, why = self._status(rule, mask)
        return Finding(rule.id, rule.kind, status, share, alone_share, error, why)

    def _status(self, rule: Rule, mask: Bools | None) -> tuple[RuleStatus, str]:
        """Can the rule fire, can it rest, does it fire where no other does."""
        fires = self._some((rule.id,), ())
        rests = fires and self._some((), (rule.id,))
        if fires is False:
            return "never-fires", self._why_never(rule)
        if rests is False:
            return "always-fires", "every point of this space breaks it"
        if rests is None:
            return self._open(rule, mask)
        if rule.kind not in HARD:
            return "live", self._live(rule)
        others = [other for other in self._hard if other != rule.id]
        needed = self._some((rule.id,), others)
        if needed is False:
            covering = self._clash((rule.id,), others)
            verb = "refuses" if len(covering) == 1 else "refuse"
            return "redundant", f"whatever it refuses, {listed(covering)} {verb} too"
        return ("live", self._live(rule)) if needed else self._open(rule, mask)

    def _live(self, rule: Rule) -> str:
        if rule.id in self._unknown:
            return f"depends on {listed(sorted(self._unknown[rule.id]))}, not known here"
        missing = self._facts.get(rule.id, set()) - self._sampled_facts.keys()
        if missing:
            return f"{listed(sorted(missing))} cannot be known on this machine: it refuses what it cannot decide"
        return _WHEN.get(KINDS[rule.kind].moment, "")

    def _open(self, rule: Rule, mask: Bools | None) -> tuple[RuleStatus, str]:
        if mask is None:
            return "not-decided", self._doubt
        said = f"sampled, not proved ({self._doubt})"
        if not mask.any():
            return "not-decided", f"{said}: no sampled point breaks it"
        if mask.all():
            return "not-decided", f"{said}: every sampled point breaks it"
        return "not-decided", f"{said}: no sampled point is refused by it alone"

    def _why_never(self, rule: Rule) -> str:
        absent = [name for name in rule.scope.compared(rule.broken) if rule.scope[name].role == "absent"]
        if absent:
            return f"the study has no parameter {listed(sorted(absent))}"
        for part in _conjuncts(rule.broken):
            if self._never_holds(rule, part):
                return _never(part, rule)
        return "its conditions never hold together here"

    def _never_holds(self, rule: Rule, part: Node) -> bool:
        if self._sample.exact and rule.id in self._count.masks:
            result = Judge([Clause(part, rule.scope)]).check(self._known, self._sample.points)
            return not (result.broken | result.undecided).any()
        return self._prover.can_hold(part, rule.scope) is False

    # -- parameters ------------------------------------------------------------------------------------------------

    def _unreachable(self, kept: Bools) -> dict[str, tuple[Any, ...]]:
        """For each parameter the values, or the ranges, that no feasible point uses."""
        found: dict[str, tuple[Any, ...]] = {}
        for name, domain in self._space.items():
            column = self._sample.columns[name][kept]
            gaps: tuple[Any, ...]
            if math.isfinite(domain.points()) and (self._sample.exact or domain.points() <= _FEW):
                gaps = self._unreachable_values(name, domain, column)
            elif domain.kind == "choice":
                gaps = ()
            else:
                gaps = self._unreachable_ends(name, domain, column.astype(float))
            if gaps:
                found[name] = gaps
        return found

    def _unreachable_values(self, name: str, domain: Domain, column: npt.NDArray[Any]) -> tuple[Any, ...]:
        seen = set(column.tolist())
        missing = [(at, value) for at, value in enumerate(domain.grid()) if value not in seen]
        if not (self._sample.exact and self._judges_all):
            missing = [(at, value) for at, value in missing if self._prover.reachable(self._hard, name, at) is False]
        if domain.kind == "choice" or domain.points() <= _FEW:
            return tuple(value for _, value in missing)
        return tuple(_runs(missing))

    @property
    def _judges_all(self) -> bool:
        return all(id_ in self._count.masks for id_ in self._hard)

    def _unreachable_ends(
        self, name: str, domain: Domain, column: npt.NDArray[np.float64]
    ) -> tuple[tuple[float, float], ...]:
        seen = column[~np.isnan(column)]
        if not seen.size:
            return ()
        size = domain.high - domain.low
        least, most = float(seen.min()), float(seen.max())
        ends = []
        if least - domain.low > _LEAST_GAP * size:
            ends.append((domain.low, self._edge(name, domain.low, least, below=True)))
        if domain.high - most > _LEAST_GAP * size:
            ends.append((self._edge(name, domain.high, most, below=False), domain.high))
        return tuple((low, high) for low, high in ends if high > low)

    def _edge(self, name: str, end: float, seen: float, *, below: bool) -> float:
        """How far from an end of a range the feasible points begin: bisection between the end and a feasible point."""
        reaches = self._prover.reaches_below if below else self._prover.reaches_above
        nearest_, farthest = end, seen
        for _ in range(_BISECTIONS):
            middle = (nearest_ + farthest) / 2
            answer = reaches(self._hard, name, middle)
            if answer is None:
                return end
            nearest_, farthest = (nearest_, middle) if answer else (middle, farthest)
        return float(f"{nearest_:.4g}") if reaches(self._hard, name, float(f"{nearest_:.4g}")) is False else nearest_


def _runs(missing: Sequence[tuple[int, Value]]) -> Iterator[Value | tuple[Value, Value]]:
    """Neighbouring values as ranges, with both ends; two or fewer stay values."""
    for _, group in itertools.groupby(enumerate(missing), key=lambda each: each[1][0] - each[0]):
        values = [value for _, (_, value) in group]
        if len(values) > 2:
            yield values[0], values[-1]
        else:
            yield from values


def _conjuncts(node: Node) -> list[Node]:
    """The parts that must all hold for a node to hold."""
    if isinstance(node, And):
        return [inner for part in node.parts for inner in _conjuncts(part)]
    if isinstance(node, Not) and isinstance(node.operand, Or):
        return [inner for part in node.operand.parts for inner in _conjuncts(Not(part))]
    return [node]


def _never(part: Node, rule: Rule) -> str:
    """A part that never holds, in words that name the end of the range or the choices."""
    match part:
        case Comparison(operator, Name(name), right) if (domain := rule.scope[name].domain) is not None:
            if isinstance(right, Text):
                hint = nearest(right.value, [str(choice) for choice in domain.choices])
                close = f"; did you mean '{hint}'?" if hint and hint.casefold() == right.value.casefold() else ""
                return f"{name} is never {right.value} here{close}"
            numbers = [float(choice) for choice in domain.choices if not isinstance(choice, str)]
            low, high = (min(numbers), max(numbers)) if numbers else (domain.low, domain.high)
            if operator in (">", ">="):
                return (
                    f"{name} never exceeds {high:.6g} here"
                    if operator == ">"
                    else f"{name} stays below {to_text(right)}"
                )
            if operator in ("<", "<="):
                return f"{name} never falls below {low:.6g} here"
            return (
                f"{name} is never {to_text(right)} here"
                if isinstance(right, Number)
                else f"'{to_text(part)}' never holds"
            )
        case Membership(Name(name), items, False):
            return f"{name} is never {listed([to_text(item) for item in items], 'or')} here"
        case _:
            return f"'{to_text(part)}' never holds here"
