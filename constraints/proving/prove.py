"""What can be proved about rules in a space, with z3: that no point breaks these and keeps those.

A sample comes first: a point that shows a rule firing settles that it can, in the very arithmetic that judges. z3 is
asked only for what no judged point shows. Every answer is exact or None, 'not decided', and `doubt` says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from constraints.judging.judge import Rule
from constraints.names.domain import Domain, Value
from constraints.names.scope import Scope
from constraints.text.expression import Node

if TYPE_CHECKING:
    import z3


class Prover:
    """Questions about the rules of one space, within one time limit.

    Args:
        rules: hard rules first asked about, and any others.
        seconds: time for all questions together; afterwards every answer is None.

    Attributes:
        reasons: why a rule cannot be expressed, for those that cannot; such a rule takes part in no proof.
        doubt: why the latest answer was None.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        space: Mapping[str, Domain],
        scope: Scope,
        known: Mapping[str, Value],
        seconds: float,
    ) -> None:
        import z3  # noqa: PLC0415 - takes 50 ms and only proofs need it

        from constraints.proving.encode import Encoder  # noqa: PLC0415
        from constraints.proving.terms import NotEncodableError  # noqa: PLC0415

        self._z3 = z3
        self._not_encodable = NotEncodableError
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self.reasons: dict[str, str] = {}
        self.doubt = ""
        self._breaking: dict[str, z3.BoolRef] = {}  # a name for each rule's formula, for the rules that are expressed
        self._resting: dict[str, z3.BoolRef] = {}
        self._solver: z3.Solver | None = None
        try:
            self._encoder = Encoder(space, scope, known, self._deadline)
        except NotEncodableError as error:
            self.reasons = dict.fromkeys((rule.id for rule in rules), str(error))
            return
        self._solver = z3.Solver(ctx=self._encoder.context)
        self._solver.add(self._encoder.space_formula)
        for rule in rules:
            self._express(rule, self._solver)

    def _express(self, rule: Rule, solver: z3.Solver) -> None:
        try:
            formula = self._encoder.broken(rule.broken, rule.scope)
        except self._not_encodable as error:
            self.reasons[rule.id] = str(error)
            return
        # a name for the formula: questions then only assume names, and the solver keeps what it has learned
        name = self._z3.Bool(f"rule {rule.id}", self._encoder.context)
        solver.add(name == formula)
        self._breaking[rule.id] = name
        self._resting[rule.id] = self._z3.Not(name)

    def some(self, breaks: Sequence[str], keeps: Sequence[str]) -> bool | None:
        """Whether some point breaks all of the first rules and keeps all of the others."""
        return self._some(breaks, keeps)

    def can_hold(self, node: Node, scope: Scope) -> bool | None:
        """Whether an expression holds, or cannot be decided, at some point."""
        if self._solver is None:
            return None
        try:
            return self._satisfiable([self._encoder.broken(node, scope)])
        except self._not_encodable as error:
            self.doubt = str(error)
            return None

    def clash(self, breaks: Sequence[str], keeps: Sequence[str]) -> tuple[str, ...]:
        """Rules to keep that no point keeps which breaks the first ones; none can be left out. Empty if unproved.

        z3 names a core of the clash; of its rules, one by one, each that can be left out is left out.
        """
        if self._solver is None or self._some(breaks, keeps) is not False:
            return ()
        core = {literal.get_id() for literal in self._solver.unsat_core()}
        chosen = [rule for rule in keeps if rule in self._resting and self._resting[rule].get_id() in core]
        for rule in list(chosen):
            fewer = [other for other in chosen if other != rule]
            if self._some(breaks, fewer) is False:
                chosen = fewer
        return tuple(chosen)

    def reachable(self, rules: Sequence[str], parameter: str, index: int) -> bool | None:
        """Whether some point that keeps the rules has the value at `index` of a parameter's domain."""
        if self._solver is None:
            return None
        return self._some((), rules, [self._encoder.is_value(parameter, index)])

    def reaches_below(self, rules: Sequence[str], parameter: str, limit: float) -> bool | None:
        """Whether some point that keeps the rules has a number below `limit`."""
        return self._reaches(rules, parameter, lambda number: number < repr(limit))

    def reaches_above(self, rules: Sequence[str], parameter: str, limit: float) -> bool | None:
        """Whether some point that keeps the rules has a number above `limit`."""
        return self._reaches(rules, parameter, lambda number: number > repr(limit))

    def _reaches(self, rules: Sequence[str], parameter: str, where: Callable[[z3.ArithRef], z3.BoolRef]) -> bool | None:
        number = None if self._solver is None else self._encoder.number(parameter)
        if self._solver is None or number is None:
            return None
        self._solver.push()
        self._solver.add(where(number))
        found = self._some((), rules)
        self._solver.pop()
        return found

    def _some(self, breaks: Sequence[str], keeps: Sequence[str], also: Sequence[z3.BoolRef] = ()) -> bool | None:
        """A rule that is not expressed asks for nothing here, so that it leaves a yes open."""
        wanted = [self._breaking[rule] for rule in breaks if rule in self._breaking]
        wanted += [self._resting[rule] for rule in keeps if rule in self._resting]
        found = self._satisfiable([*wanted, *also])
        unspoken = [rule for rule in (*breaks, *keeps) if rule in self.reasons]
        if found is False or not unspoken:
            return found
        self.doubt = self._doubt_of(unspoken)
        return None

    def _doubt_of(self, unspoken: Sequence[str]) -> str:
        first = self.reasons[unspoken[0]]
        return first if len(unspoken) == 1 else f"{first}, and {len(unspoken) - 1} more rules that z3 cannot express"

    def _satisfiable(self, formulas: Sequence[z3.BoolRef]) -> bool | None:
        if self._solver is None:
            self.doubt = next(iter(self.reasons.values()), "z3 cannot express the space")
            return None
        left = int(1000 * (self._deadline - time.monotonic()))
        if left <= 0:
            self.doubt = f"the time limit of {self._seconds:g} s was reached"
            return None
        self._solver.set("timeout", left)
        answer = self._solver.check(*formulas)
        if answer == self._z3.unknown:
            self.doubt = self._given_up()
            return None
        return bool(answer == self._z3.sat)

    def _given_up(self) -> str:
        if time.monotonic() >= self._deadline:
            return f"the time limit of {self._seconds:g} s was reached"
        assert self._solver is not None
        return f"the solver gave up: {self._solver.reason_unknown()}"
