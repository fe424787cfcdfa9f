"""What can be proved about rules in a space, with z3: that rules never or always fire, add nothing, or clash.

A sample comes first: a point that shows a rule firing settles that it can, in the very arithmetic that judges. z3 is
asked only for what no sampled point shows. Every answer is exact or 'not decided'.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from constraints.domain import Domain, Value
from constraints.judge import Rule

if TYPE_CHECKING:
    import z3

    from constraints.scope import Scope


class Prover:
    """Questions about the rules of one space, within one time limit.

    `refused[rule.id]` is None for a rule that z3 cannot express; such a rule takes part in no proof that would need it.

    Args:
        rules: hard rules first asked about, and any others.
        seconds: time for all questions together; afterwards every answer is None, 'not decided'.
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

        from constraints.encode import Encoder, NotEncodableError  # noqa: PLC0415

        self._z3 = z3
        self._deadline = time.monotonic() + seconds
        self.reasons: dict[str, str] = {}
        self.refused: dict[str, z3.BoolRef | None] = {}
        self._resting: dict[str, z3.BoolRef] = {}  # a rule's formula negated, for the rules that are expressed
        try:
            self._encoder = Encoder(space, scope, known)
        except NotEncodableError as error:
            self.refused = dict.fromkeys((rule.id for rule in rules), None)
            self.reasons = dict.fromkeys(self.refused, str(error))
            self._solver = None
            return
        self._solver = z3.Solver(ctx=self._encoder.context)
        self._solver.add(self._encoder.space_formula)
        for rule in rules:
            self.refused[rule.id] = None
            try:
                formula = self._encoder.broken(rule)
            except NotEncodableError as error:
                self.reasons[rule.id] = str(error)
                continue
            # a name for the formula: questions then only assume names, and the solver keeps what it has learned
            name = z3.Bool(f"rule {rule.id}", self._encoder.context)
            self._solver.add(name == formula)
            self.refused[rule.id] = name
            self._resting[rule.id] = z3.Not(name)

    def can_fire(self, rule: str) -> bool | None:
        """Whether some point of the space breaks a rule."""
        formula = self.refused[rule]
        return None if formula is None else self._satisfiable([formula])

    def can_rest(self, rule: str) -> bool | None:
        """Whether some point of the space keeps a rule."""
        return self._satisfiable(self._kept([rule])) if rule in self._resting else None

    def fires_alone(self, rule: str, others: Sequence[str]) -> bool | None:
        """Whether some point breaks a rule and none of the others. Others that are not expressed leave it open."""
        formula = self.refused[rule]
        return None if formula is None else self._kept_somewhere(others, formula)

    def covered_by(self, rule: str, others: Sequence[str]) -> tuple[str, ...]:
        """A small set of others that refuse whatever a redundant rule refuses."""
        formula = self.refused[rule]
        return self._clash(others, [] if formula is None else [formula])

    def feasible(self, rules: Sequence[str]) -> bool | None:
        """Whether some point keeps all the rules. Rules that are not expressed leave a yes open."""
        return self._kept_somewhere(rules)

    def contradiction(self, rules: Sequence[str]) -> tuple[str, ...]:
        """A smallest set (none of its members can be left out) of rules that no point keeps; empty if none is found."""
        return self._clash(rules, [])

    def reachable(self, rules: Sequence[str], parameter: str, index: int) -> bool | None:
        """Whether some point that keeps the rules has the value at `index` of a parameter's domain."""
        if self._solver is None:
            return None
        return self._kept_somewhere(rules, self._encoder.is_value(parameter, index))

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
        found = self._kept_somewhere(rules)
        self._solver.pop()
        return found

    def _kept_somewhere(self, rules: Sequence[str], *also: z3.BoolRef) -> bool | None:
        found = self._satisfiable([*self._kept(rules), *also])
        return None if found and any(rule not in self._resting for rule in rules) else found

    def _kept(self, rules: Sequence[str]) -> list[z3.BoolRef]:
        return [self._resting[rule] for rule in rules if rule in self._resting]

    def _clash(self, rules: Sequence[str], assumed: list[z3.BoolRef]) -> tuple[str, ...]:
        """Rules that cannot all be kept under an assumption, none of which can be left out.

        z3 names a core of the clash; of its rules, one by one, each that can be left out is left out.
        """
        if self._solver is None or self._satisfiable([*assumed, *self._kept(rules)]) is not False:
            return ()
        core = {literal.get_id() for literal in self._solver.unsat_core()}
        chosen = [rule for rule in rules if rule in self._resting and self._resting[rule].get_id() in core]
        for rule in list(chosen):
            fewer = [other for other in chosen if other != rule]
            if self._satisfiable([*assumed, *self._kept(fewer)]) is False:
                chosen = fewer
        return tuple(chosen)

    def _satisfiable(self, formulas: list[z3.BoolRef]) -> bool | None:
        if self._solver is None:
            return None
        left = int(1000 * (self._deadline - time.monotonic()))
        if left <= 0:
            return None
        self._solver.set("timeout", left)
        answer = self._solver.check(*formulas)
        return True if answer == self._z3.sat else False if answer == self._z3.unsat else None
