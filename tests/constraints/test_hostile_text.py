"""Hostile text never runs code, never hangs, never crashes: only errors of the rule engine come out."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constraints.names.domain import Domain
from constraints.rules import examples, ruleset
from constraints.rules.ruleset import RuleText
from constraints.text import expression, parsing
from constraints.text.errors import ConstraintsError

SPACE = {
    "learning_rate": Domain("learning_rate", "float", 1e-5, 1e-3, log=True),
    "optimizer_type": Domain("optimizer_type", "choice", choices=("AdamW", "Prodigy")),
    "flag": Domain("flag", "choice", choices=(True, False)),
}
POINT = {"learning_rate": 1e-4, "optimizer_type": "AdamW", "flag": True}
PIECES = [
    *"()[]{}<>=!+-*/%&|^~,.:;@#\\'\"` \t\n_0123456789eExjJlr",
    *("learning_rate", "optimizer_type", "flag", "is_set", "min", "max", "log", "exp", "abs", "True", "None", "1e999"),
    *("__class__", "__import__", "__builtins__", "eval", "lambda ", "if ", " else ", " and ", " or ", "not ", " in "),
    *(" is ", "**", "//", "0x", "9" * 400, "(" * 30, ")" * 30, "not " * 30, "-" * 60, "'AdamW'", '"', "é", "🙂"),
    *(
        "ｌ",
        "١",
        "\u202e",
        "\ufeff",
        "\x00",
        "&a ",
        "*a ",
        "!!python/object ",
        "<<: ",
        "? ",
        "- ",
        ": ",
        "| \n",
        "> \n",
    ),
    *("%YAML 1.1\n", "---\n", "...", "{a: b}", "\r\n"),
]
DOCUMENT = """\
rules_version: 1
name: fuzz
derived: {ratio: learning_rate * 2}
limits: {most: 3}
rules:
  - {id: one, refuse: EXPRESSION, because: x}
  - {id: two, when: flag, require: [ratio < most], because: x}
examples:
  - {name: e, given: {flag: true, learning_rate: 1}, refused_by: []}
"""


def soup(chance: random.Random) -> str:
    return "".join(chance.choices(PIECES, k=chance.randint(1, 25)))


def feed(text: str) -> None:
    """A text as an expression, as a rule's condition, and as a whole file; whatever is accepted is judged, too."""
    try:
        expression.to_text(parsing.parse(text))
    except ConstraintsError as error:
        str(error)
    for document in (text, DOCUMENT.replace("EXPRESSION", text)):
        try:
            rules = ruleset.load([RuleText(document, "fuzz.yaml")], SPACE)
            rules.check_point(POINT)
            rules.check({name: [value, value] for name, value in POINT.items()})
            examples.run([RuleText(document, "fuzz.yaml")])
        except ConstraintsError as error:
            str(error)


def mutated(chance: random.Random) -> str:
    """The valid document with a few pieces put in, taken out or moved."""
    text = DOCUMENT.replace("EXPRESSION", chance.choice(["learning_rate > 1", 'optimizer_type in ["AdamW"] or flag']))
    for _ in range(chance.randint(1, 4)):
        at, to = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        text = text[:at] + chance.choice([chance.choice(PIECES), text[at:to] * 2, ""]) + text[to:]
    return text


@pytest.mark.slow
def test_a_thousand_hostile_texts_end_in_nothing_but_rule_errors() -> None:
    chance = random.Random(1)
    for _ in range(500):
        feed(soup(chance))
        feed(mutated(chance))


@settings(max_examples=200)
@given(st.text())
def test_any_text_at_all_ends_in_nothing_but_rule_errors(text: str) -> None:
    feed(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",  # a billion laughs, small
        "[" * 100_000,
        "{a: " * 10_000,
        "- " * 50_000,
        "a: " + "9" * 100_000,
        "a: 0x" + "f" * 100_000,
        "? " * 20_000,
        "'" + "a" * 500_000,
        "&" * 10_000,
        "a: |\n" + "  x\n" * 100_000,
        "!<tag:yaml.org,2002:python/object/apply:os.system> [echo]",
    ],
    ids=lambda text: text[:12].strip(),
)
def test_yaml_bombs_are_refused(text: str) -> None:
    with pytest.raises(ConstraintsError):
        ruleset.load([RuleText(text, "bomb.yaml")], SPACE)


def test_chains_of_derived_values_do_not_grow() -> None:
    def text(length: int) -> str:
        chain = "\n".join(f"  d{n + 1}: d{n} * d{n} + d{n}" for n in range(length))
        head = f"rules_version: 1\nname: chain\nderived:\n  d0: learning_rate\n{chain}\n"
        return head + f"rules:\n  - {{id: last, refuse: d{length} > 1, because: x}}\n"

    with pytest.raises(ConstraintsError, match="deeper than 100"):
        ruleset.load([RuleText(text(200), "chain.yaml")], SPACE)
    rules = ruleset.load([RuleText(text(30), "chain.yaml")], SPACE)  # 3^30 parts if it were written out
    assert rules.check_point(POINT).verdict == "accepted"
    assert rules.check({"learning_rate": [1e-4, 5.0]}).refused.tolist() == [[False, True]]


def test_nested_choices_do_not_grow() -> None:
    condition = "flag"
    for _ in range(30):
        condition = f"(flag if {condition} else flag)"
    rules = ruleset.load([RuleText(DOCUMENT.replace("EXPRESSION", condition), "nested.yaml")], SPACE)
    assert "one" in rules.check_point(POINT).refused_by


def test_text_in_a_rule_stays_text() -> None:
    hostile = "__import__(chr(111)+chr(115))"
    text = DOCUMENT.replace("EXPRESSION", f"'optimizer_type == \"{hostile}\"'")
    rules = ruleset.load([RuleText(text, "text.yaml")], SPACE)
    assert rules.check_point(POINT).verdict == "accepted"
    assert rules.check_point({**POINT, "optimizer_type": hostile}).refused_by == ("one",)


if __name__ == "__main__":  # the long run: python tests/constraints/test_hostile_text.py COUNT SEED
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    dice = random.Random(seed)
    for number in range(count):
        if number and number % 50_000 == 0:
            print(f"{number} texts so far", flush=True)
        sample = soup(dice) if number % 2 else mutated(dice)
        try:
            feed(sample)
        except BaseException:
            print(f"seed {seed}, text {number}: {sample!r}")
            raise
    print(f"{count} texts, nothing but rule errors")
