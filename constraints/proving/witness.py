"""A point that keeps all hard rules, solved for by z3 where sampling finds none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from constraints.judging.judge import Rule
from constraints.judging.kinds import HARD
from constraints.names.domain import Value
from constraints.proving.prove import Prover
from constraints.rules.ruleset import RuleSet

if TYPE_CHECKING:
    import z3

    from constraints.proving.encode import Encoder


@dataclass(frozen=True)
class Witness:
    """What z3 says of a space: a point, or the rules that leave none, or neither.

    Attributes:
        point: a point that keeps every rule that z3 can express. It is to be judged again: z3 computes in exact
            numbers, and knows only the facts it was given. None where there is none, or none was found in time.
        contradiction: a smallest set of rules that no point of the space keeps together; empty when not proved.
    """

    point: Mapping[str, Any] | None
    contradiction: tuple[str, ...]


def seek(rules: RuleSet, facts: Mapping[str, Value], seconds: float = 5.0) -> Witness:
    """Looks for a feasible point of the rules' space, or for a proof that there is none.

    Args:
        facts: facts that hold at every point; others may be anything.
        seconds: time for each of the two.
    """
    hard = [rule for rule in rules.rules if rule.kind in HARD]
    known = {**rules.facts, **facts}
    prover = Prover(hard, rules.space, rules.scope, known, seconds)
    contradiction = prover.clash((), [rule.id for rule in hard])
    return Witness(None if contradiction else _solve(rules, hard, known, seconds), contradiction)


def near(
    rules: RuleSet, facts: Mapping[str, Value], wanted: Mapping[str, Value], order: Sequence[str], seconds: float = 2.0
) -> Mapping[str, Any] | None:
    """A point that keeps the rules and has as many of the wanted values as come together, the first named ones first.

    Args:
        facts: facts that hold at every point; others may be anything.
        wanted: values of the rules' space; parameters that are not set may have any.
        order: the parameters of `wanted` in the order in which they are held.
        seconds: time for all of it.

    Returns:
        A point that is to be judged again, or None where none was found in time.
    """
    hard = [rule for rule in rules.rules if rule.kind in HARD]
    posed = _pose(rules, hard, {**rules.facts, **facts})
    if posed is None:
        return None
    solver, encoder = posed
    solver.set("timeout", int(1000 * seconds / (len(order) + 2)))
    for name in order:
        solver.push()
        solver.add(encoder.has_value(name, wanted[name]))
        if not _holds(solver):
            solver.pop()
    return _point(solver.model(), encoder, rules) if _holds(solver) else None


def _solve(
    rules: RuleSet, hard: Sequence[Rule], known: Mapping[str, Value], seconds: float
) -> Mapping[str, Any] | None:
    posed = _pose(rules, hard, known)
    if posed is None:
        return None
    solver, encoder = posed
    solver.set("timeout", int(1000 * seconds))
    return _point(solver.model(), encoder, rules) if _holds(solver) else None


def _pose(rules: RuleSet, hard: Sequence[Rule], known: Mapping[str, Value]) -> tuple[z3.Solver, Encoder] | None:
    """The space and every rule that z3 can express; None for a space that it cannot."""
    import z3  # noqa: PLC0415 - takes 50 ms and is seldom needed

    from constraints.proving.encode import Encoder  # noqa: PLC0415
    from constraints.proving.terms import NotEncodableError  # noqa: PLC0415

    try:
        encoder = Encoder(rules.space, rules.scope, known, rounded=False)
    except NotEncodableError:
        return None
    solver = z3.Solver(ctx=encoder.context)
    solver.add(encoder.space_formula)
    for rule in hard:
        try:
            solver.add(z3.Not(encoder.broken(rule.broken, rule.scope)))
        except NotEncodableError:
            continue
    return solver, encoder


def _holds(solver: z3.Solver) -> bool:
    import z3  # noqa: PLC0415

    return bool(solver.check() == z3.sat)


def _point(model: z3.ModelRef, encoder: Encoder, rules: RuleSet) -> dict[str, Any]:
    """A model's values in the domains; parameters whose condition does not hold are left out."""
    point: dict[str, Any] = {}
    for name, domain in rules.space.items():
        if not rules.is_active(name, {**rules.fixed, **point}):
            continue
        number = encoder.number(name)
        if number is None:
            chosen = (at for at in range(int(domain.points())) if _is_true(model, encoder.is_value(name, at)))
            point[name] = domain.value_at(next(chosen, 0))
            continue
        value = _fraction(model, number)
        if math.isfinite(domain.points()):
            step = float(domain.exact_at(1) - domain.exact_at(0)) if domain.points() > 1 else 1.0
            point[name] = domain.value_at(min(max(round((value - domain.low) / step), 0), int(domain.points()) - 1))
        else:
            point[name] = min(max(value, domain.low), domain.high)
    return point


def _is_true(model: z3.ModelRef, formula: z3.BoolRef) -> bool:
    import z3  # noqa: PLC0415

    return bool(z3.is_true(model.eval(formula, model_completion=True)))


def _fraction(model: z3.ModelRef, number: z3.ArithRef) -> float:
    """A number of a model; an algebraic one (a root) by twenty decimals."""
    value = model.eval(number, model_completion=True)
    exact = value.approx(20) if hasattr(value, "approx") else value
    return float(exact.as_fraction()) if hasattr(exact, "as_fraction") else float(exact.as_long())
