"""`rules check`: what a set of rules does to a space, proved where it can be and sampled where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from constraints import sample
from constraints.document import nearest
from constraints.domain import Domain, Value
from constraints.expression import And, Comparison, Membership, Name, Node, Not, Number, Or, Text, to_text
from constraints.judge import Judge, Rule
from constraints.prove import Prover
from constraints.ruleset import HARD, RuleSet

Status: TypeAlias = Literal["live", "never-fires", "always-fires", "redundant", "not-decided"]
SECONDS = 5.0
#: below this share of a range, a gap between the sampled feasible points and the range's end is not looked into
_LEAST_GAP = 0.01


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
    status: Status
    refused_share: float
    alone_share: float
    standard_error: float
    why: str


@dataclass(frozen=True)
class Examination:
    """The answer of `rules check`; see `as_json` for the contract."""

    feasible_share: float
    standard_error: float
    contradiction: tuple[str, ...]
    feasible: bool | None
    rules: tuple[Finding, ...]
    unreachable: Mapping[str, tuple[Any, ...]]
    exact: bool
    absent: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The JSON contract; a range of unreachable numbers is a list of its two ends."""
        unreachable = {
            name: [list(value) if isinstance(value, tuple) else value for value in values]
            for name, values in self.unreachable.items()
        }
        return {
            "feasible_share": self.feasible_share,
            "standard_error": self.standard_error,
            "contradiction": list(self.contradiction),
            "rules": [
                {
                    "id": finding.id,
                    "kind": finding.kind,
                    "status": finding.status,
                    "refused_share": finding.refused_share,
                    "alone_share": finding.alone_share,
                    "why": finding.why,
                }
                for finding in self.rules
            ],
            "unreachable": unreachable,
        }

    def render(self) -> str:
        """The examination as text for a terminal."""
        width = max((len(finding.id) for finding in self.rules), default=0)
        lines = [self._headline()]
        for finding in self.rules:
            shares = f"{finding.refused_share:7.2%}{finding.alone_share:9.2%}" if finding.kind in _SHARED else " " * 16
            lines.append(f"  {finding.id:{width}}  {finding.kind:10}  {finding.status:12}{shares}  {finding.why}")
        if self.rules:
            lines.insert(1, f"  {'rule':{width}}  {'kind':10}  {'status':12} refuses    alone")
        lines += [f"  no feasible point uses {name}: {_listed(found)}" for name, found in self.unreachable.items()]
        lines += [f"  the study has no parameter '{name}': rules that need it never apply" for name in self.absent]
        return "\n".join(lines)

    def _headline(self) -> str:
        if self.contradiction:
            return f"nothing is feasible: {', '.join(self.contradiction)} cannot all be kept"
        error = "every point counted" if self.exact else f"standard error {self.standard_error:.2%}"
        return f"{self.feasible_share:.2%} of the space is feasible ({error})"


_SHARED = (*HARD, "discourage")


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

    def run(self) -> Examination:
        masks = self._masks
        judged = self._judged
        refused = np.array([masks[id_] for id_ in judged]).reshape(len(judged), self._sample.points)
        kept: npt.NDArray[np.bool_] = np.logical_not(np.any(refused, axis=0))
        share, error = self._sample.share(kept)
        feasible = True if kept.any() and len(judged) == len(self._hard) else self._prover.feasible(self._hard)
        clash = self._prover.contradiction(self._hard) if feasible is False else ()
        by_one = refused.sum(axis=0) == 1
        alone = {id_: refused[at] & by_one for at, id_ in enumerate(judged)}
        return Examination(
            feasible_share=share,
            standard_error=error,
            contradiction=clash,
            feasible=feasible,
            rules=tuple(self._finding(rule, alone.get(rule.id)) for rule in self._rules.rules),
            unreachable={} if clash else self._unreachable(kept),
            exact=self._sample.exact,
            absent=self._rules.absent,
        )

    @cached_property
    def _sample(self) -> sample.Sample:
        return sample.draw(self._space, self._rules.fixed)

    @cached_property
    def _prover(self) -> Prover:
        rules = self._rules
        return Prover(rules.rules, rules.space, rules.scope, rules.facts, self._seconds)

    @cached_property
    def _masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Where each rule before a trial fires in the sample, but for rules whose facts are not known."""
        judged = [rule for rule in self._rules.rules if rule.kind in _SHARED and rule.id not in self._unknown]
        known = {**self._rules.facts, **self._sampled_facts, **self._sample.columns}
        result = Judge(judged).check(known, self._sample.points)
        return {rule.id: row for rule, row in zip(judged, result.broken | result.undecided, strict=True)}

    @cached_property
    def _judged(self) -> list[str]:
        """Hard rules that the sample could be judged by."""
        return [id_ for id_ in self._hard if id_ in self._masks]

    @cached_property
    def _sampled_facts(self) -> Mapping[str, Any]:
        if self._facts_at is None or not self._facts:
            return {}
        return self._facts_at({**self._rules.fixed, **self._sample.columns})

    def _facts_of(self, rule: Rule) -> set[str]:
        """Facts that a rule before a trial names and that the rule set does not hold."""
        facts = [name for name in rule.scope.inputs(rule.broken) if rule.scope[name].role == "fact"]
        return {name for name in facts if name not in self._rules.facts}

    # -- rules -----------------------------------------------------------------------------------------------------

    def _finding(self, rule: Rule, alone: npt.NDArray[np.bool_] | None) -> Finding:
        mask = self._masks.get(rule.id)
        share, error = (0.0, 0.0) if mask is None else self._sample.share(mask)
        status, why = self._status(rule, mask, alone)
        alone_share = 0.0 if alone is None else self._sample.share(alone)[0]
        return Finding(rule.id, rule.kind, status, share, alone_share, error, why)

    def _status(
        self, rule: Rule, mask: npt.NDArray[np.bool_] | None, alone: npt.NDArray[np.bool_] | None
    ) -> tuple[Status, str]:
        """Sampled points first, then z3: can the rule fire, can it rest, does it fire where no other does."""
        if mask is not None and self._sample.exact:
            fires: bool | None = bool(mask.any())
            rests: bool | None = not mask.all()
        else:
            fires = True if mask is not None and mask.any() else self._prover.can_fire(rule.id)
            rests = True if mask is not None and not mask.all() else fires and self._prover.can_rest(rule.id)
            # to z3 facts are free: what it says could be otherwise may be so under other facts alone
            if rule.id in self._facts and mask is not None and ((fires and not mask.any()) or (rests and mask.all())):
                return self._open(rule, mask)
        if fires is False:
            return "never-fires", self._why_never(rule)
        if rests is False:
            return "always-fires", "every point of this space breaks it"
        if fires is None or rests is None:
            return self._open(rule, mask)
        if rule.kind not in HARD:
            return "live", self._live(rule)
        return self._needed(rule, mask, alone)

    def _needed(
        self, rule: Rule, mask: npt.NDArray[np.bool_] | None, alone: npt.NDArray[np.bool_] | None
    ) -> tuple[Status, str]:
        """Whether a hard rule refuses a point that no other refuses."""
        others = [other for other in self._hard if other != rule.id]
        if alone is not None and alone.any() and self._judged == self._hard:
            return "live", self._live(rule)
        needed = self._prover.fires_alone(rule.id, others)
        if needed is False:
            return "redundant", f"whatever it refuses, {_listed(self._prover.covered_by(rule.id, others))} refuse too"
        return ("live", self._live(rule)) if needed else self._open(rule, mask)

    def _live(self, rule: Rule) -> str:
        if rule.id in self._unknown:
            return f"depends on {_listed(sorted(self._unknown[rule.id]))}, not known here"
        missing = self._facts.get(rule.id, set()) - self._sampled_facts.keys()
        if missing:
            return f"{_listed(sorted(missing))} cannot be known on this machine: it refuses what it cannot decide"
        return {"stop": "judged while a trial runs", "expect": "judged on its result"}.get(rule.kind, "")

    def _open(self, rule: Rule, mask: npt.NDArray[np.bool_] | None) -> tuple[Status, str]:
        named = f"z3 knows nothing of {_listed(sorted(self._facts.get(rule.id, ())))}"
        reason = named if rule.id in self._facts else self._prover.reasons.get(rule.id)
        if reason is None:
            return "not-decided", f"the time limit of {self._seconds:g} s was reached"
        if mask is None:
            return "not-decided", reason
        if not mask.any():
            return "not-decided", f"sampled, not proved ({reason}): no sampled point breaks it"
        if mask.all():
            return "not-decided", f"sampled, not proved ({reason}): every sampled point breaks it"
        return "not-decided", f"sampled, not proved ({reason}): no sampled point is refused by it alone"

    def _why_never(self, rule: Rule) -> str:
        absent = [name for name in rule.scope.compared(rule.broken) if rule.scope[name].role == "absent"]
        if absent:
            return f"the study has no parameter {_listed(sorted(absent))}"
        for part in _conjuncts(rule.broken):
            alone = Rule("part", "refuse", "", 1.0, part, rule.scope, rule.file, rule.line)
            prover = Prover([alone], self._space, self._rules.scope, self._rules.facts, self._seconds)
            if prover.can_fire("part") is False:
                return _never(part, rule)
        return "its conditions never hold together here"

    # -- parameters ------------------------------------------------------------------------------------------------

    def _unreachable(self, kept: npt.NDArray[np.bool_]) -> dict[str, tuple[Any, ...]]:
        """For each parameter the values, or the ranges at either end, that no feasible point uses."""
        found: dict[str, tuple[Any, ...]] = {}
        for name, domain in self._space.items():
            column = self._sample.columns[name][kept]
            gaps: tuple[Any, ...]
            if domain.kind == "choice" or domain.points() <= _FEW:
                gaps = self._unreachable_values(name, domain, column)
            else:
                gaps = self._unreachable_ends(name, domain, column.astype(float))
            if gaps:
                found[name] = gaps
        return found

    def _unreachable_values(self, name: str, domain: Domain, column: npt.NDArray[Any]) -> tuple[Value, ...]:
        seen = set(column.tolist())
        missing = [(at, value) for at, value in enumerate(domain.grid()) if value not in seen]
        return tuple(value for at, value in missing if self._prover.reachable(self._hard, name, at) is False)

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


_FEW = 64
_BISECTIONS = 20


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
            return f"{name} is never {_listed([to_text(item) for item in items], 'or')} here"
        case _:
            return f"'{to_text(part)}' never holds here"


def _listed(found: Sequence[Any], word: str = "and") -> str:
    texts = [f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else str(value) for value in found]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}" if texts else ""
