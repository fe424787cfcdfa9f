import pytest

from constraints.text import expression, parsing
from constraints.text.errors import ExpressionError


@pytest.mark.parametrize(
    "text",
    [
        'learning_rate > 1.2e-4 and optimizer_type == "AdamW8bit"',
        "a < b and b <= 3",
        "not a == 1 or -x ** 2 > 3",
        "(a + b) * c - (d - e) > 2 ** -1",
        'x in ["a", \'say "b"\']',
        "x not in [1, -2]",
        "a if b > 1 else c",
        "(a if b > 1 else c) > 2",
        "gpu.vram_gb - 1 < estimate.vram_gb",
        "(a or b) and not (c and d)",
        "max(a, b, 3) >= floor(c // 2 % 5)",
        "is_set(x) and x > 1",
        "(-x) ** 2 < -(x ** 2)",
        "-(-x) > - 1",
    ],
)
def test_text_survives_the_way_to_nodes_and_back(text: str) -> None:
    node = parsing.parse(text)
    assert parsing.parse(expression.to_text(node)) == node


def test_a_chain_is_a_conjunction_of_its_links() -> None:
    assert parsing.parse("a < b <= 3") == parsing.parse("a < b and b <= 3")


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("a = 1", "'=' is not allowed here", "="),
        ("a & b", "'&' is not allowed here", "&"),
        ("a >", "is not an expression", None),
        ('__import__("os").system("x") > 1', "is not a function here", None),
        ("().__class__ > 1", "only names have dotted parts", "()"),
        ("a.__class__() > 1", "is not a function here", "a.__class__"),
        ("(lambda: 1)()", "':' is not allowed", ":"),
        ("a[0] > 1", "a subscript is not part of the rule language", "a[0]"),
        ('f"{a}" == b', "is not part of the rule language", None),
        ("x ** y > 1", "an exponent is a plain number", "y"),
        ("x ** 9 > 1", "an exponent is a plain number", "9"),
        ("1e999 > x", "the number is too large", "1e999"),
        ("x in y", "'in' needs a list", "y"),
        ("x in [y]", "a list holds plain values only", "y"),
        ("x is 3", "'is' is not part", "3"),
        ("min(1) > 0", "min takes 2 to 20 arguments", "min(1)"),
        ("flor(x) > 1", "'flor' is not a function here", "flor"),
        ("is_set(1)", "is_set takes the name", "1"),
        ('"a" "b" == x', "two texts side by side", '"b"'),
        ("1if x else 2", "follows the value before it", "if"),
        ("a) or (b", "closes nothing", ")"),
        ("x > 'abc", "is not allowed here", "'"),
        ("x == 'a\\'b'", "is not allowed here", None),
        ("ｌｒ > 1", "is not allowed here", "ｌ"),  # a letter that Python would quietly turn into 'l'
        ("x > ١", "is not allowed here", "١"),  # a digit that Python would read as 1
        ("+x > 1", "unary plus is not part", "+x"),
        ("x > 1 # note", "'#' is not allowed here", "#"),
        ("yield x", "'yield x' is not part of the rule language", None),
        ("(x := 3) > 1", "':' is not allowed here", ":"),
        ("*x", "is not an expression", None),
        ("max(*x) > 1", "", None),
        ("1j > x", "follows the value before it", "j"),
        ("x > 1 if y", "is not an expression", None),
        ("", "the expression is empty", None),
    ],
)
def test_what_is_not_in_the_language_is_refused_where_it_stands(text: str, message: str, place: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        parsing.parse(text)
    assert message in caught.value.message
    if place is not None:
        assert text[caught.value.start : caught.value.end] in (place, place + "()")
        assert caught.value.start == text.index(place)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 41 + "x" + ")" * 41 + " > 1",
        "not " * 500 + "x",
        "-" * 1500 + "x > 1",
        "x if y else " * 150 + "z",
        "x" * 2001,
    ],
)
def test_what_is_too_long_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"deeper|characters long"):
        parsing.parse(text)


def test_offsets_count_characters_not_bytes() -> None:
    with pytest.raises(ExpressionError) as caught:
        parsing.parse('x == "é€" and flor(y) > 1')
    assert (caught.value.start, caught.value.end) == (14, 18)


def test_newlines_of_a_folded_text_are_spaces() -> None:
    assert parsing.parse("a > 1\n  and b > 2\n") == parsing.parse("a > 1 and b > 2")
