"""Rule files that nobody should write: each is one clear error at its place, whatever else is wrong is said as well."""

import pathlib

import pytest

from constraints.names.domain import Domain
from constraints.proving import examine
from constraints.rules import examples, ruleset
from constraints.rules.ruleset import RuleText
from constraints.text.errors import DocumentError

SPACE = {
    domain.name: domain
    for domain in (
        Domain("rate", "float", 1e-5, 1e-3, log=True),
        Domain("dim", "int", 1, 128),
        Domain("kind", "choice", choices=("a", "b")),
        Domain("flag", "choice", choices=(True, False)),
    )
}
H = "rules_version: 1\nname: r\n"
R = H + "rules:\n"


def one(text: str) -> str:
    """A file of one rule."""
    return R + f"  - {{id: a, because: x, {text}}}\n"


#: what it is, the file, line and column of its first problem, and how that begins
CASES = [
    ("deep-list", H + "rules: " + "[" * 60 + "]" * 60, 3, 47, "is nested deeper than 40 levels"),
    ("deep-map", H + "rules: " + "{a: " * 60 + "1" + "}" * 60, 3, 164, "is nested deeper than 40 levels"),
    ("deep-expr", one("refuse: " + "(" * 50 + "rate > 1" + ")" * 50), 4, 73, "is nested deeper than 40 levels"),
    ("deep-not", one("refuse: '" + "not " * 60 + "flag'"), 4, 198, "is nested deeper than 40 levels"),
    ("deep-minus", one("refuse: '" + "-" * 60 + "rate > 1'"), 4, 74, "is nested deeper than 40 levels"),
    (
        "long-expr",
        one("refuse: '" + " or ".join(["rate > 1"] * 300) + "'"),
        4,
        34,
        "the expression is 3,596 characters long; at most 2,000 are r",
    ),
    (
        "long-because",
        R + "  - {id: a, refuse: rate > 1, because: " + "x" * 3000 + "}\n",
        4,
        40,
        "has 3,000 characters; at most 2,000 are read",
    ),
    (
        "long-id",
        R + "  - {id: " + "a" * 101 + ", refuse: rate > 1, because: x}\n",
        4,
        10,
        "an id is words in lower case joined by '-', as in 'high-lr-n",
    ),
    (
        "long-name",
        "rules_version: 1\nname: " + "n" * 5000 + "\nrules: []\n",
        2,
        7,
        "a name is one line of 1 to 100 characters without '@', not '",
    ),
    (
        "empty-name",
        "rules_version: 1\nname: ''\nrules: []\n",
        2,
        7,
        "a name is one line of 1 to 100 characters without '@', not '",
    ),
    (
        "name-newline",
        'rules_version: 1\nname: "a\\nb"\nrules: []\n',
        2,
        7,
        "a name is one line of 1 to 100 characters without '@', not '",
    ),
    (
        "name-at",
        "rules_version: 1\nname: a@3\nrules: []\n",
        2,
        7,
        "a name is one line of 1 to 100 characters without '@', not '",
    ),
    ("huge-limit", H + "limits: {a: 1.0e999}\nrules: []\n", 3, 13, "1.0e999 is too large for a number"),
    (
        "int400-limit",
        H + "limits: {a: 1" + "0" * 400 + "}\nrules: []\n",
        3,
        13,
        "a number of 401 characters; at most 100 are read",
    ),
    ("inf-limit", H + "limits: {a: .inf}\nrules: []\n", 3, 13, ".inf is not a finite number"),
    ("nan-limit", H + "limits: {a: .nan}\nrules: []\n", 3, 13, ".nan is not a finite number"),
    ("text-limit", H + 'limits: {a: "3"}\nrules: []\n', 3, 13, "'3' is text"),
    ("true-limit", H + "limits: {a: true}\nrules: []\n", 3, 13, "must be a number, not true"),
    ("null-limit", H + "limits: {a: }\nrules: []\n", 3, 10, "must be a number, not nothing"),
    ("1e999", one("refuse: rate > 1e999"), 4, 40, "the number is too large"),
    ("int400", one("refuse: rate > 1" + "0" * 400), 4, 40, "the number is too large"),
    ("confusable-name", one("refuse: rаte > 1"), 4, 34, "'а' is not allowed here"),
    ("fullwidth", one("refuse: rate ＞ 1"), 4, 38, "'＞' is not allowed here"),
    ("arabic-digit", one("refuse: rate > ١"), 4, 40, "'١' is not allowed here"),
    ("le-sign", one("refuse: rate ≤ 1"), 4, 38, "'≤' is not allowed here"),
    ("smart-quotes", one("refuse: kind == “a”"), 4, 41, "'“' is not allowed here"),
    ("nbsp", one("refuse: rate\u00a0> 1"), 4, 38, "'\\xa0' is not allowed here"),
    ("zwsp", one("refuse: ra\u200bte > 1"), 4, 35, "'\\u200b' is not allowed here"),
    ("rtl", one("refuse: \u202erate > 1"), 4, 33, "'\\u202e' is not allowed here"),
    (
        "nul",
        R + '  - {id: a, refuse: "rate > \x00 1", because: x}\n',
        4,
        29,
        "is not valid YAML: unacceptable character #x0000: special ch",
    ),
    ("nul-escape", R + '  - {id: a, refuse: "rate > \\0 1", because: x}\n', 4, 29, "'\\x00' is not allowed here"),
    (
        "tab-indent",
        R + "\t- {id: a, refuse: rate > 1, because: x}\n",
        4,
        1,
        "is not valid YAML: found character '\\t' that cannot start an",
    ),
    ("anchor", R + "  - &x {id: a, refuse: rate > 1, because: x}\n  - *x\n", 4, 5, "anchor '&x' is not allowed"),
    (
        "merge",
        H + "base: &b {because: x}\nrules:\n  - {<<: *b, id: a, refuse: rate > 1}\n",
        3,
        7,
        "anchor '&b' is not allowed",
    ),
    (
        "tag",
        R + "  - !!python/object:os.system {id: a}\n",
        4,
        5,
        "tag 'tag:yaml.org,2002:python/object:os.system' is not allow",
    ),
    ("tag2", "rules_version: !!int 1\nname: r\nrules: []\n", 1, 16, "tag 'tag:yaml.org,2002:int' is not allowed"),
    ("directive", "%YAML 1.1\n---\nrules_version: 1\nname: r\nrules: []\n", 2, 1, "YAML directives are not allowed"),
    ("two-docs", H + "rules: []\n---\nname: s\n", 4, 1, "a second document begins here"),
    ("dup-key", H + "name: s\nrules: []\n", 3, 1, "duplicate key 'name' (first on line 2)"),
    (
        "dup-rule-key",
        R + "  - {id: a, refuse: rate > 1, refuse: rate > 2, because: x}\n",
        4,
        31,
        "duplicate key 'refuse' (first on line 4)",
    ),
    (
        "dup-id",
        R + "  - {id: a, refuse: rate > 1, because: x}\n  - {id: a, refuse: rate > 2, because: x}\n",
        5,
        10,
        "rule 'a' is there twice (first on line 4)",
    ),
    ("dup-limit", H + "limits: {a: 1, a: 2}\nrules: []\n", 3, 16, "duplicate key 'a' (first on line 3)"),
    (
        "id-spaces",
        R + "  - {id: my rule, refuse: rate > 1, because: x}\n",
        4,
        10,
        "an id is words in lower case joined by '-', as in 'high-lr-n",
    ),
    (
        "id-upper",
        R + "  - {id: My-Rule, refuse: rate > 1, because: x}\n",
        4,
        10,
        "an id is words in lower case joined by '-', as in 'high-lr-n",
    ),
    ("id-number", R + "  - {id: 3, refuse: rate > 1, because: x}\n", 4, 10, "must be text, not 3"),
    (
        "id-empty",
        R + "  - {id: '', refuse: rate > 1, because: x}\n",
        4,
        10,
        "an id is words in lower case joined by '-', as in 'high-lr-n",
    ),
    ("id-null", R + "  - {id: , refuse: rate > 1, because: x}\n", 4, 6, "must be text, not nothing"),
    ("id-missing", R + "  - {refuse: rate > 1, because: x}\n", 4, 5, "'id' is missing"),
    ("rules-null", H + "rules:\n", 3, 1, "must be a list, not nothing"),
    ("rules-missing", H, 1, 1, "'rules' is missing"),
    ("rules-text", H + "rules: none\n", 3, 8, "must be a list, not 'none'"),
    ("rules-map", H + "rules: {a: {refuse: rate > 1}}\n", 3, 8, "must be a list"),
    ("rule-text", R + "  - refuse\n", 4, 5, "must be a mapping of keys to values, not 'refuse'"),
    ("rule-null", R + "  -\n", 4, 4, "must be a mapping of keys to values, not nothing"),
    ("rule-list", R + "  - [a, b]\n", 4, 5, "must be a mapping of keys to values"),
    ("version-2", "rules_version: 2\nname: r\nrules: []\n", 1, 16, "must be 1, the only version there is, not 2"),
    ("version-text", "rules_version: '1'\nname: r\nrules: []\n", 1, 16, "'1' is text"),
    ("version-true", "rules_version: true\nname: r\nrules: []\n", 1, 16, "must be a whole number, not true"),
    ("version-float", "rules_version: 1.0\nname: r\nrules: []\n", 1, 16, "must be a whole number, not 1.0"),
    ("version-missing", "name: r\nrules: []\n", 1, 1, "'rules_version' is missing"),
    ("no-kind", R + "  - {id: a, because: x}\n", 4, 5, "rule 'a' needs exactly one of refuse, require, discourage, s"),
    (
        "when-only",
        R + "  - {id: a, when: rate > 1, because: x}\n",
        4,
        5,
        "rule 'a' needs exactly one of refuse, require, discourage, s",
    ),
    (
        "both",
        R + "  - {id: a, refuse: rate > 1, require: rate < 1, because: x}\n",
        4,
        5,
        "rule 'a' needs exactly one of refuse, require, discourage, s",
    ),
    (
        "all-kinds",
        R + "  - {id: a, refuse: flag, require: flag, stop: flag, expect: flag, discourage: flag, because: x}\n",
        4,
        5,
        "rule 'a' needs exactly one of refuse, require, discourage, s",
    ),
    ("because-missing", R + "  - {id: a, refuse: rate > 1}\n", 4, 5, "'because' is missing"),
    (
        "because-empty",
        R + "  - {id: a, refuse: rate > 1, because: ''}\n",
        4,
        40,
        "must say why, in a sentence; it is shown with every refusal",
    ),
    (
        "because-blank",
        R + "  - {id: a, refuse: rate > 1, because: '   '}\n",
        4,
        40,
        "must say why, in a sentence; it is shown with every refusal",
    ),
    ("because-list", R + "  - {id: a, refuse: rate > 1, because: [x]}\n", 4, 40, "must be text"),
    (
        "refuse-null",
        R + "  - {id: a, refuse: , because: x}\n",
        4,
        5,
        "rule 'a' needs exactly one of refuse, require, discourage, s",
    ),
    ("refuse-true", R + "  - {id: a, refuse: true, because: x}\n", 4, 21, "must be text, not true"),
    ("refuse-number", R + "  - {id: a, refuse: 3, because: x}\n", 4, 21, "must be text, not 3"),
    ("refuse-list", R + "  - {id: a, refuse: [rate > 1], because: x}\n", 4, 21, "must be text"),
    ("refuse-map", R + "  - {id: a, refuse: {rate: 1}, because: x}\n", 4, 21, "must be text"),
    ("refuse-empty", R + "  - {id: a, refuse: '', because: x}\n", 4, 22, "the expression is empty"),
    ("require-empty", R + "  - {id: a, require: [], because: x}\n", 4, 22, "must hold at least one expression"),
    (
        "require-null-in",
        R + "  - {id: a, require: [rate > 1, null], because: x}\n",
        4,
        22,
        "must be an expression or a list of expressions; nothing is n",
    ),
    (
        "require-nested",
        R + "  - {id: a, require: [[rate > 1]], because: x}\n",
        4,
        22,
        "must be an expression or a list of expressions; ['rate > 1']",
    ),
    ("when-number", R + "  - {id: a, when: 3, refuse: rate > 1, because: x}\n", 4, 19, "must be text, not 3"),
    (
        "weight-0",
        R + "  - {id: a, discourage: rate > 1, weight: 0, because: x}\n",
        4,
        43,
        "must be greater than 0, not 0",
    ),
    ("weight-1", R + "  - {id: a, discourage: rate > 1, weight: 1, because: x}\n", 4, 43, "must be less than 1, not 1"),
    ("weight-2", R + "  - {id: a, discourage: rate > 1, weight: 2, because: x}\n", 4, 43, "must be less than 1, not 2"),
    (
        "weight-neg",
        R + "  - {id: a, discourage: rate > 1, weight: -0.5, because: x}\n",
        4,
        43,
        "must be greater than 0, not -0.5",
    ),
    (
        "weight-nan",
        R + "  - {id: a, discourage: rate > 1, weight: .nan, because: x}\n",
        4,
        43,
        ".nan is not a finite number",
    ),
    ("weight-text", R + "  - {id: a, discourage: rate > 1, weight: '0.5', because: x}\n", 4, 43, "'0.5' is text"),
    (
        "weight-true",
        R + "  - {id: a, discourage: rate > 1, weight: true, because: x}\n",
        4,
        43,
        "must be a number, not true",
    ),
    (
        "weight-missing",
        R + "  - {id: a, discourage: rate > 1, because: x}\n",
        4,
        5,
        "rule 'a' needs a weight between 0 and 1",
    ),
    (
        "weight-on-refuse",
        R + "  - {id: a, refuse: rate > 1, weight: 0.5, because: x}\n",
        4,
        31,
        "only a 'discourage' rule has a weight",
    ),
    ("unknown-key", R + "  - {id: a, refuze: rate > 1, because: x}\n", 4, 13, "unknown key 'refuze'"),
    ("unknown-top", H + "ruls: []\nrules: []\n", 3, 1, "unknown key 'ruls'"),
    (
        "limit-shadows",
        H + "limits: {rate: 3}\nrules: []\n",
        3,
        10,
        "the study has a parameter or fact 'rate', so no limit can be",
    ),
    (
        "limit-shadows-declared",
        H + "parameters: [foo]\nlimits: {foo: 3}\nrules: []\n",
        4,
        10,
        "'foo' already has another meaning",
    ),
    ("limit-function", H + "limits: {max: 3}\nrules: []\n", 3, 10, "'max' already has another meaning"),
    ("limit-keyword", H + "limits: {if: 3}\nrules: []\n", 3, 10, "'if' already has another meaning"),
    ("limit-True", H + "limits: {True: 3}\nrules: []\n", 3, 10, "keys are text, not True"),
    (
        "limit-dot",
        H + "limits: {a.b: 3}\nrules: []\n",
        3,
        10,
        "a name is letters, digits and '_', and begins with no digit,",
    ),
    (
        "derived-cycle",
        H + "derived: {a: b + 1, b: a + 1}\nrules: []\n",
        3,
        14,
        "derived values depend on each other: a, b",
    ),
    ("derived-self", H + "derived: {a: a + 1}\nrules: []\n", 3, 14, "derived values depend on each other: a"),
    ("derived-number", H + "derived: {a: 3}\nrules: []\n", 3, 14, "must be text, not 3"),
    ("derived-limit", H + "limits: {a: 1}\nderived: {a: rate}\nrules: []\n", 4, 11, "'a' already has another meaning"),
    ("derived-list", H + "derived: [a]\nrules: []\n", 3, 10, "must be a mapping of keys to values"),
    ("params-text", H + "parameters: rate\nrules: []\n", 3, 13, "must be a list, not 'rate'"),
    ("params-number", H + "parameters: [1]\nrules: []\n", 3, 14, "must be text, not 1"),
    ("params-dup", H + "parameters: [foo, foo]\nrules: []\n", 3, 19, "'foo' is there twice"),
    (
        "params-spaces",
        H + "parameters: [my rate]\nrules: []\n",
        3,
        14,
        "a name is letters, digits and '_', and begins with no digit,",
    ),
    (
        "example-null",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: }, refused_by: []}\n",
        6,
        23,
        "must be a number, text, true or false, not nothing; leave ou",
    ),
    (
        "example-list",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: [1]}, refused_by: []}\n",
        6,
        29,
        "must be a number, text, true or false, not [1]; leave out wh",
    ),
    (
        "example-no-given",
        one("refuse: rate > 1") + "examples:\n  - {name: e, refused_by: []}\n",
        6,
        5,
        "'given' is missing",
    ),
    (
        "example-dots-first",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: 2}, refused_by: [..., a]}\n",
        6,
        46,
        "'...' says 'and others', so it stands last in the list",
    ),
    (
        "example-dots-text",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: 2}, refused_by: ...}\n",
        6,
        45,
        "must be a list, not '...'",
    ),
    (
        "example-dots-twice",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: 2}, refused_by: [..., ...]}\n",
        6,
        46,
        "'...' says 'and others', so it stands last in the list",
    ),
    (
        "example-unknown-rule",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: 2}, refused_by: [b]}\n",
        6,
        46,
        "there is no refuse or require rule 'b'",
    ),
    (
        "example-no-outcome",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: 2}}\n",
        6,
        5,
        "needs at least one of refused_by, discouraged_by, stopped_by",
    ),
    (
        "example-name-missing",
        one("refuse: rate > 1") + "examples:\n  - {given: {rate: 2}, refused_by: [a]}\n",
        6,
        5,
        "'name' is missing",
    ),
    (
        "example-1e400",
        one("refuse: rate > 1") + "examples:\n  - {name: e, given: {rate: 1.0e400}, refused_by: [a]}\n",
        6,
        29,
        "1.0e400 is too large for a number",
    ),
    ("text-order", one("refuse: kind > 1"), 4, 33, "'kind' is text, which has no order"),
    ("text-number", one("refuse: kind == 1"), 4, 33, "'kind == 1' compares text with a number"),
    ("number-text", one("refuse: 'rate == \"a\"'"), 4, 34, "'rate == \"a\"' compares a number with text"),
    ("truth-number", one("refuse: flag > 1"), 4, 33, "'flag' is true or false, which has no order"),
    ("number-as-truth", one("refuse: rate"), 4, 33, "'rate' is a number, where true or false is needed"),
    ("text-as-truth", one("refuse: kind"), 4, 33, "'kind' is text, where true or false is needed"),
    ("call-unknown", one("refuse: sin(rate) > 1"), 4, 33, "'sin' is not a function here"),
    ("call-args", one("refuse: 'max(rate) > 1'"), 4, 34, "max takes 2 to 20 arguments"),
    ("attribute", one("refuse: rate.__class__ == 1"), 4, 33, "'rate.__class__' is not known here"),
    ("lambda", one("refuse: '(lambda x: x)(rate) > 1'"), 4, 43, "':' is not allowed here"),
    ("subscript", one("refuse: 'kind[0] == \"a\"'"), 4, 34, "a subscript is not part of the rule language"),
    ("walrus", one("refuse: '(x := rate) > 1'"), 4, 37, "':' is not allowed here"),
    ("assign", one("refuse: rate = 1"), 4, 38, "'=' is not allowed here"),
    ("is-none", one("refuse: rate is None"), 4, 41, "'is' is not part of the rule language"),
    ("fstring", one("refuse: \"kind == f'a'\""), 4, 42, "'f'a'' is not part of the rule language"),
    ("list-empty", one("refuse: 'kind in []'"), 4, 42, "'in' needs a list of values"),
    ("power-big", one("refuse: rate ** 100 > 1"), 4, 41, "an exponent is a plain number of at most 8"),
    ("power-name", one("refuse: rate ** dim > 1"), 4, 41, "an exponent is a plain number of at most 8"),
    ("hex", one("refuse: rate > 0x10"), 4, 41, "'x10' follows the value before it directly"),
    ("underscore", one("refuse: rate > 1_000"), 4, 41, "'_000' follows the value before it directly"),
    ("octal", one("refuse: rate > 010"), 4, 40, "'010' begins with 0"),
    ("imag", one("refuse: rate > 1j"), 4, 41, "'j' follows the value before it directly"),
    ("signal-before", one("refuse: loss > 1"), 4, 33, "'loss' is not known here"),
    ("metric-before", one("refuse: clip_scoer > 1"), 4, 33, "'clip_scoer' is not known here"),
    ("is-set-number", one("refuse: is_set(3)"), 4, 40, "is_set takes the name of a parameter"),
    ("is-set-two", one("refuse: 'is_set(rate, dim)'"), 4, 34, "is_set takes 1 argument"),
    ("ellipsis", one("refuse: '...'"), 4, 34, "'...' is not part of the rule language"),
    ("semicolon", one("refuse: 'rate > 1; dim'"), 4, 42, "';' is not allowed here"),
    ("comment", one("refuse: 'rate > 1 # x'"), 4, 43, "'#' is not allowed here"),
    (
        "newline-expr",
        R + "  - id: a\n    because: x\n    refuse: |\n      rate >\n      1e\n",
        8,
        8,
        "'e' follows the value before it directly",
    ),
    ("unclosed", one("refuse: 'rate > (1'"), 4, 41, "'(' is never closed"),
    ("unclosed-text", one("refuse: 'kind == \"a'"), 4, 42, "'\"' is not allowed here"),
    (
        "bad-yaml",
        "rules_version: 1\nname: [r\nrules: []\n",
        3,
        6,
        "is not valid YAML: expected ',' or ']', but got ':'",
    ),
    (
        "bad-utf-escape",
        'rules_version: 1\nname: "\\UFFFFFFFF"\nrules: []\n',
        1,
        1,
        'is not valid YAML: an escape such as "\\UFFFFFFFF" stands for',
    ),
    ("list-top", "- a\n- b\n", 1, 1, "must be a mapping of keys to values, as in 'name: my-charact"),
    ("scalar-top", "hello\n", 1, 1, "must be a mapping of keys to values, as in 'name: my-charact"),
    ("empty", "", 1, 1, "must be a mapping of keys to values, as in 'name: my-charact"),
    ("comment-only", "# nothing\n", 1, 1, "must be a mapping of keys to values, as in 'name: my-charact"),
    ("in-name", one("refuse: 'rate in [dim]'"), 4, 43, "a list holds plain values only"),
    ("compare-two-text", one("refuse: 'kind < \"b\"'"), 4, 34, "'kind' is text, which has no order"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_hostile_rule_file_is_an_error_at_its_place(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(DocumentError) as raised:
        ruleset.load([RuleText(text, "r.yaml")], SPACE)
    first = raised.value.problems[0]
    assert (first.line, first.column) == (line, column)
    assert first.message.startswith(words)
    said = str(raised.value)
    assert said.startswith(f"r.yaml:{line}:{column}: ")
    assert all(word not in said for word in ("pydantic", "Traceback", "NoneType", "string should", "regex"))
    assert len({(found.line, found.column, found.message) for found in raised.value.problems}) == len(
        raised.value.problems
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_line_endings_and_a_byte_order_mark_change_nothing(tmp_path: pathlib.Path, ending: str, start: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes((start + one("refuse: rate > 1e-4").replace("\n", ending)).encode())
    assert ruleset.load([path], SPACE).check_point({"rate": 1e-3}).refused_by == ("a",)


def test_all_problems_of_a_file_are_said_at_once() -> None:
    text = (
        "rules_version: 3\nname: r\nextra: 1\nlimits: {a.b: 1}\nrules:\n  - {id: A b, refuse: rate >, because: ''}\n"
        "  - {id: b, because: x}\nexamples:\n  - {name: e, given: {rate: [1]}, refused_by: x}\n"
    )
    with pytest.raises(DocumentError) as raised:
        ruleset.load([RuleText(text, "r.yaml")], SPACE)
    assert [found.line for found in raised.value.problems] == [1, 3, 4, 6, 6, 6, 9, 9]


def test_a_chain_of_derived_values_is_proved_or_given_up_but_never_written_out() -> None:
    chain = "".join(f"  d{at + 1}: d{at} * d{at} + d{at}\n" for at in range(30))
    text = f"{H}derived:\n  d0: rate\n{chain}rules:\n  - {{id: last, refuse: d30 > 1, because: x}}\n"
    (finding,) = examine.examine(ruleset.load([RuleText(text, "r.yaml")], SPACE)).rules
    assert finding.status == "not-decided"
    assert "a product of more than 8 continuous values" in finding.why


def test_an_example_may_not_be_given_to_rules_that_are_wrong() -> None:
    with pytest.raises(DocumentError, match="not known here"):
        examples.run([RuleText(one("refuse: rate > 1"), "r.yaml")])
