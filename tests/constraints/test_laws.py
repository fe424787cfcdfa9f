"""Laws of the rule language, over random expressions and points; judged against a slow reference evaluator.

The reference walks the nodes for one point with plain Python, by the words of docs/reference/rules.md.
"""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from constraints.judging.judge import LEAST_VIOLATION, MOST_VIOLATION, Judge, Rule
from constraints.names import world as worlds
from constraints.names.domain import Domain
from constraints.names.scope import Scope, Symbol
from constraints.names.world import World
from constraints.text import expression, parsing
from constraints.text.expression import (
    And,
    Arithmetic,
    Call,
    Comparison,
    IfElse,
    IsSet,
    Membership,
    Name,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Text,
    Truth,
)

SPACE = {
    domain.name: domain
    for domain in (
        Domain("rate", "float", 1e-5, 1e-3, log=True),
        Domain("share", "float", 0.0, 1.0),
        Domain("ratio", "float", 0.25, 0.9, 0.05),
        Domain("size", "choice", choices=(64, 128, 256)),
        Domain("count", "int", -2, 4),
        Domain("kind", "choice", choices=("a", "b", "c")),
        Domain("flag", "choice", choices=(True, False)),
        Domain("cycles", "int", 1, 4, when='kind == "a"'),
        Domain("mode", "choice", choices=("x", "y"), when="flag"),
    )
}
DERIVED = {"product": "size * ratio", "risky": "rate > 1e-4 or product / count > 30"}
KNOWN = worlds.study_scope(World(SPACE, {"fixed_steps": 100}, ["gpu.vram_gb"], derived=DERIVED))
SCOPE = Scope({**KNOWN.symbols, "gone": Symbol("gone", "unknown", "absent", optional=True)})


# -- the reference evaluator -------------------------------------------------------------------------------------------


class Reference:
    """Truth is 'T', 'F', 'U' (undecided) or 'N' (something is not set); a number without a value is None."""

    def __init__(self, scope: Scope, point: dict[str, Any]) -> None:
        self.scope = scope
        self.point = point

    def raw(self, name: str) -> Any:
        value = self.point.get(name)
        return None if isinstance(value, float) and math.isnan(value) else value

    def number(self, node: Node) -> float | None:
        match node:
            case Number(value):
                return value
            case Name(name):
                symbol = self.scope[name]
                if symbol.body is not None:
                    return self.number(symbol.body)
                value = symbol.value if symbol.value is not None else self.raw(name)
                return None if value is None else float(value)
            case IfElse(condition, then, otherwise):
                truth = self.truth(condition)
                return self.number(then) if truth == "T" else self.number(otherwise) if truth == "F" else None
            case Negative(operand):
                inner = self.number(operand)
                return None if inner is None else -inner
            case Arithmetic(operator, left, right):
                sides = (self.number(left), self.number(right))
                return None if None in sides else self.calculate(operator, *sides)
            case Call(function, arguments):
                values = [self.number(argument) for argument in arguments]
                return None if None in values else self.calculate(function, *values)
        raise AssertionError(node)

    @staticmethod
    def calculate(operation: str, *values: Any) -> float | None:
        operations: dict[str, Any] = {
            "+": lambda a, b: a + b,
            "-": lambda a, b: a - b,
            "*": lambda a, b: a * b,
            "/": lambda a, b: a / b,
            "//": lambda a, b: a // b,
            "%": lambda a, b: a % b,
            "**": math.pow,
            "abs": abs,
            "min": min,
            "max": max,
            "log": math.log,
            "log10": math.log10,
            "sqrt": math.sqrt,
            "exp": math.exp,
            "floor": math.floor,
            "ceil": math.ceil,
            "round": round,
        }
        try:
            result = float(operations[operation](*values))
        except (ZeroDivisionError, ValueError):
            return None
        except OverflowError:
            return math.inf
        return None if math.isnan(result) else result

    def truth(self, node: Node) -> str:
        match node:
            case Truth(value):
                return "T" if value else "F"
            case Not(operand):
                return {"T": "F", "F": "T"}.get(self.truth(operand), self.truth(operand))
            case And(parts):
                return min((self.truth(part) for part in parts), key="FNUT".index)
            case Or(parts):
                return max((self.truth(part) for part in parts), key="FUNT".index)
            case IfElse(condition, then, otherwise):
                truth = self.truth(condition)
                return truth if truth in "UN" else self.truth(then if truth == "T" else otherwise)
            case IsSet(name):
                symbol = self.scope[name]
                return "T" if symbol.role == "constant" or self.raw(name) is not None else "F"
            case Name(name):
                symbol = self.scope[name]
                if symbol.body is not None:
                    return self.truth(symbol.body)
                value = self.raw(name)
                return self.unknown(node) if value is None else "T" if value else "F"
            case Membership(left, items, negated):
                either: Node = Or((*(Comparison("==", left, item) for item in items), Truth(False)))
                return self.truth(Not(either) if negated else either)
            case Comparison(operator, left, right):
                return self.comparison(node, operator, left, right)
        raise AssertionError(node)

    def unknown(self, node: Node) -> str:
        unset = [n for n in self.scope.compared(node) if self.scope[n].optional and self.raw(n) is None]
        return "N" if unset else "U"

    def comparison(self, node: Node, operator: str, left: Node, right: Node) -> str:
        if isinstance(left, Truth) or isinstance(right, Truth):
            literal, other = (left, right) if isinstance(left, Truth) else (right, left)
            same = literal.value is (operator == "==")
            return self.truth(other if same else Not(other))
        if self.is_text(left) or self.is_text(right):
            texts = [side.value if isinstance(side, Text) else self.raw(side.name) for side in (left, right)]
            if None in texts:
                return self.unknown(node)
            return "T" if (texts[0] == texts[1]) is (operator == "==") else "F"
        one, other_ = self.number(left), self.number(right)
        if one is None or other_ is None or (math.isinf(one) and one == other_):
            return self.unknown(node)
        close = one == other_
        if self.computed(left) or self.computed(right):
            close = close or math.isclose(one, other_, rel_tol=1e-9)
        order = 0 if close else 1 if one > other_ else -1
        outcomes = {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0, "==": order == 0}
        return "T" if (outcomes["=="] is False if operator == "!=" else outcomes[operator]) else "F"

    def is_text(self, node: Node) -> bool:
        return isinstance(node, Text) or (isinstance(node, Name) and self.scope[node.name].kind == "text")

    def computed(self, node: Node) -> bool:
        if isinstance(node, Name):
            return self.scope[node.name].body is not None or node.name == "ratio"
        return not (isinstance(node, Number) or (isinstance(node, Negative) and isinstance(node.operand, Number)))


# -- random expressions and points -------------------------------------------------------------------------------------

NUMBER_NAMES = ["rate", "share", "ratio", "size", "count", "cycles", "product", "fixed_steps", "gpu.vram_gb", "gone"]
LITERALS = ["0", "1", "2", "0.5", "0.7", "1e-4", "3e-4", "64", "128", "100", "12.8"]
OPERATORS = ["<", "<=", ">", ">=", "==", "!="]


def literal(digits: str) -> Node:
    return Number(float(digits), digits)


numbers: st.SearchStrategy[Node] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(NUMBER_NAMES).map(Name),
        st.sampled_from(LITERALS).map(literal),
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/", "//", "%"]), numbers, numbers),
        st.builds(Arithmetic, st.just("**"), numbers, st.sampled_from(["2", "3", "0.5"]).map(literal)),
        st.builds(Negative, numbers),
        st.builds(
            lambda function, argument: Call(function, (argument,)),
            st.sampled_from(["abs", "log", "log10", "sqrt", "exp", "floor", "ceil", "round"]),
            numbers,
        ),
        st.builds(
            lambda function, one, other: Call(function, (one, other)), st.sampled_from(["min", "max"]), numbers, numbers
        ),
        st.builds(IfElse, truths, numbers, numbers),
    )
)
truths: st.SearchStrategy[Node] = st.deferred(
    lambda: st.one_of(
        st.builds(Comparison, st.sampled_from(OPERATORS), numbers, numbers),
        st.builds(
            Comparison,
            st.sampled_from(OPERATORS),
            st.sampled_from(NUMBER_NAMES).map(Name),
            st.sampled_from(LITERALS).map(literal),
        ),
        st.builds(
            Comparison, st.sampled_from(["==", "!="]), st.just(Name("kind")), st.sampled_from(["a", "b", "z"]).map(Text)
        ),
        st.builds(Comparison, st.sampled_from(["==", "!="]), st.just(Name("mode")), st.just(Text("x"))),
        st.builds(Comparison, st.sampled_from(["==", "!="]), st.just(Name("flag")), st.booleans().map(Truth)),
        st.builds(
            Membership,
            st.just(Name("kind")),
            st.lists(st.sampled_from(["a", "b", "c"]).map(Text), min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
        st.builds(
            Membership,
            st.sampled_from(["size", "cycles", "ratio"]).map(Name),
            st.lists(st.sampled_from(["64", "0.7", "2"]).map(literal), min_size=1, max_size=3).map(tuple),
            st.booleans(),
        ),
        st.sampled_from(["flag", "risky"]).map(Name),
        st.sampled_from(["cycles", "mode", "rate"]).map(IsSet),
        st.builds(Not, truths),
        st.builds(lambda parts: And(tuple(parts)), st.lists(truths, min_size=2, max_size=3)),
        st.builds(lambda parts: Or(tuple(parts)), st.lists(truths, min_size=2, max_size=3)),
        st.builds(IfElse, truths, truths, truths),
    )
)
points = st.fixed_dictionaries(
    {
        "rate": st.sampled_from([1e-5, 1e-4, 3e-4, 1e-3, 5.0]),
        "share": st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        "ratio": st.sampled_from([0.25, 0.1 * 7, 0.7, 0.9]),
        "size": st.sampled_from([64, 128, 256]),
        "count": st.sampled_from([-2, 0, 1, 2]),
        "kind": st.sampled_from(["a", "b", "c"]),
        "flag": st.booleans(),
        "cycles": st.sampled_from([None, 1, 2]),
        "mode": st.sampled_from([None, "x", "y"]),
        "gpu.vram_gb": st.sampled_from([24.0, math.nan]),
    }
)


def rule(node: Node, name: str = "rule") -> Rule:
    return Rule(name, "refuse", "", 1.0, node, SCOPE, "", 0)


def columns(table: list[dict[str, Any]]) -> dict[str, Any]:
    text = {"kind", "mode"}
    return {
        name: np.array([point[name] for point in table], dtype=object if name in text else float) for name in table[0]
    }


def judged(node: Node, table: list[dict[str, Any]]) -> str:
    """The outcome at each point as the compiled rule gives it, one letter a point."""
    holds, fails, unset = Judge([rule(node)]).outcomes(0, columns(table), len(table))
    return "".join("T" if t else "F" if f else "N" if n else "U" for t, f, n in zip(holds, fails, unset, strict=True))


# -- laws --------------------------------------------------------------------------------------------------------------


def check_against_reference(node: Node, table: list[dict[str, Any]]) -> None:
    assert judged(node, table) == "".join(Reference(SCOPE, point).truth(node) for point in table)


@pytest.mark.slow
@given(truths, st.lists(points, min_size=1, max_size=8))
def test_the_compiled_form_says_what_the_slow_reference_says(node: Node, table: list[dict[str, Any]]) -> None:
    check_against_reference(node, table)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(truths, st.lists(points, min_size=1, max_size=8))
def test_ten_thousand_random_expressions_agree_with_the_reference(node: Node, table: list[dict[str, Any]]) -> None:
    check_against_reference(node, table)


@pytest.mark.slow
@given(truths, st.lists(points, min_size=1, max_size=8))
def test_a_rule_is_broken_or_undecided_where_the_slow_reference_says_so(
    node: Node, table: list[dict[str, Any]]
) -> None:
    judgement = Judge([rule(node)]).check(columns(table), len(table))
    outcomes = [Reference(SCOPE, point).truth(node) for point in table]
    assert judgement.broken[0].tolist() == [outcome == "T" for outcome in outcomes]
    assert judgement.undecided[0].tolist() == [outcome == "U" for outcome in outcomes]


@pytest.mark.slow
@given(truths, st.lists(points, min_size=1, max_size=8))
def test_violation_is_above_zero_exactly_where_a_rule_refuses(node: Node, table: list[dict[str, Any]]) -> None:
    judgement = Judge([rule(node)]).check(columns(table), len(table))
    refused = judgement.broken | judgement.undecided
    violation = judgement.violation()
    assert ((violation > 0) == refused).all()
    assert (violation[refused] >= LEAST_VIOLATION).all()
    assert (violation <= MOST_VIOLATION).all()


@pytest.mark.slow
@given(st.lists(truths, min_size=1, max_size=4), st.lists(points, min_size=1, max_size=8))
def test_a_batch_of_many_is_as_many_batches_of_one(nodes: list[Node], table: list[dict[str, Any]]) -> None:
    judge = Judge([rule(node, f"rule-{at}") for at, node in enumerate(nodes)])
    batch = judge.check(columns(table), len(table))
    for at, point in enumerate(table):
        single = judge.check(columns([point]), 1)
        plain = judge.check(point)
        assert single.broken[:, 0].tolist() == batch.broken[:, at].tolist()
        assert plain.broken[:, 0].tolist() == batch.broken[:, at].tolist()
        assert plain.undecided[:, 0].tolist() == batch.undecided[:, at].tolist()
        for number in np.flatnonzero(batch.broken[:, at]):
            assert plain.violation()[number, 0] == pytest.approx(batch.violation()[number, at], rel=1e-9)
            assert single.violation()[number, 0] == pytest.approx(batch.violation()[number, at], rel=1e-9)


@pytest.mark.slow
@given(truths)
def test_text_to_nodes_to_text_to_nodes_is_the_identity(node: Node) -> None:
    text = expression.to_text(node)
    assume(len(text) <= parsing.MAXIMUM_LENGTH and text.count("(") + text.count("not ") < parsing.MAXIMUM_DEPTH)
    again = parsing.parse(text)
    assert parsing.parse(expression.to_text(again)) == again
    assert expression.to_text(again) == expression.to_text(parsing.parse(expression.to_text(again)))


@pytest.mark.slow
@given(truths, truths, st.lists(points, min_size=1, max_size=8))
def test_de_morgan_holds_for_truth_and_for_margins(one: Node, other: Node, table: list[dict[str, Any]]) -> None:
    pairs = [
        (Not(And((one, other))), Or((Not(one), Not(other)))),
        (Not(Or((one, other))), And((Not(one), Not(other)))),
        (Not(Not(one)), one),
    ]
    for left, right in pairs:
        assert judged(left, table) == judged(right, table)
        for point in table:
            margins = [Judge([rule(node)]).at_point("margin", 0, point) for node in (left, right)]
            assert margins[0] == pytest.approx(margins[1], nan_ok=True)


@pytest.mark.slow
@given(numbers, numbers, st.lists(points, min_size=1, max_size=8))
def test_exactly_one_of_less_equal_and_greater_holds(one: Node, other: Node, table: list[dict[str, Any]]) -> None:
    outcomes = [judged(Comparison(operator, one, other), table) for operator in ("<", "==", ">")]
    for letters in zip(*outcomes, strict=True):
        assert letters.count("T") == 1 or set(letters) <= {"U", "N"}


@pytest.mark.slow
@given(truths, points)
def test_the_sign_of_a_margin_agrees_with_truth(node: Node, point: dict[str, Any]) -> None:
    judge = Judge([rule(node)])
    margin = judge.at_point("margin", 0, point)
    assert repr(judge.margins(point)) == repr([float(margin)])
    outcome = judged(node, [point])
    if not math.isnan(margin) and outcome in "TF":
        assert margin * (1 if outcome == "T" else -1) >= -1e-6
