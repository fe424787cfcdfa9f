from pathlib import Path

import pytest

from constraints.text import document
from constraints.text.errors import DocumentError, Problem


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DocumentError) as caught:
        document.parse(text, "study.yaml")
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),  # PyYAML reads this as text
        ("1.0e-4", 1e-4),
        ("on", "on"),  # and this as True
        ("12:30", "12:30"),  # and this as 750
        ("true", True),
        ("~", None),
        ("0x10", 16),
        ("2026-01-01", "2026-01-01"),
        ("'4'", "4"),
        ("1_000", "1_000"),
        ("=", "="),
        ("[a, ...]", ["a", "..."]),
    ],
)
def test_scalars_are_read_by_the_yaml_core_schema(text: str, value: object) -> None:
    assert document.parse(f"key: {text}\n", "f").data == {"key": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "duplicate key 'a' (first on line 1)"),
        ("a: &x 1\n", "anchor '&x' is not allowed"),
        ("a: *x\n", "alias '*x' is not allowed"),
        ("a: !!python/object 1\n", "tag 'tag:yaml.org,2002:python/object' is not allowed"),
        ("3: 1\n", "keys are text, not 3"),
        ("? [a]\n: 1\n", "keys are text, not []"),
        ("- a\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("a: .inf\n", ".inf is not a finite number"),
        ("a: 1e999\n", "too large"),
        ("a: " + "9" * 5000, "characters"),
        ("[" * 5000, "nested deeper than 40"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("%YAML 1.1\n---\na: 1\n", "directives"),
        ("a: '\ud800'\n", "not valid YAML"),
        ("a: \x01\n", "not valid YAML"),
        ("a: [1\n", "not valid YAML"),
    ],
)
def test_what_is_not_plain_yaml_is_one_clear_problem(text: str, message: str) -> None:
    assert any(message in problem.message for problem in problems(text))


def test_a_tab_is_explained() -> None:
    (problem,) = problems("a:\n\tb: 1\n")
    assert (problem.line, problem.column) == (2, 1)
    assert "spaces" in problem.hint


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    found = problems("a: 1\na: 2\nb: &x 3\n4: 5\n")
    assert [problem.line for problem in found] == [2, 3, 4]


def test_a_problem_is_shown_with_its_line_a_caret_and_a_hint() -> None:
    text = "space:\n  rate: high\n"
    problem = document.parse(text, "study.yaml").problem(("space", "rate"), "must be a number", "write 1.0e-4")
    assert problem.render() == (
        "study.yaml:2:9: must be a number\n      rate: high\n            ^\n    hint: write 1.0e-4"
    )


def test_a_place_that_is_missing_points_at_its_nearest_ancestor() -> None:
    parsed = document.parse("a: 1\nb:\n  c: 2\n", "f")
    assert parsed.at(("b", "absent", 3)) == (3, 3)
    assert parsed.at(("b", "c"), key=True) == (3, 3)
    assert parsed.at(("b", "c")) == (3, 6)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("x: aa > bb\n", 1, 9),
        ("x: 'aa > bb'\n", 1, 10),
        ("x: {y: 1}\n", 1, 4),
        ("x: |\n  aa >\n  bb\n", 3, 3),
        ("x: >\n  aa >\n  bb\n", 3, 3),
        ("x:\n  aa\n  > bb\n", 3, 5),
    ],
)
def test_a_character_inside_a_text_value_is_found_in_the_file(text: str, line: int, column: int) -> None:
    parsed = document.parse(text, "f")
    value = parsed.data["x"]
    offset = value.index("bb") if isinstance(value, str) else 0
    problem = parsed.problem_inside(("x",), offset, "here")
    assert (problem.line, problem.column) == (line, column)


def test_control_characters_never_reach_the_terminal() -> None:
    (problem, *_) = problems('"\\e[2J": 1\n"\\e[2J": 2\n')
    assert "\x1b" not in problem.render()


def test_files_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (document.MAXIMUM_BYTES + 1))
    for name, message in [("none", "cannot be read"), ("latin", "not UTF-8"), ("large", "at most"), (".", "cannot")]:
        path = tmp_path if name == "." else tmp_path / f"{name}.yaml"
        with pytest.raises(DocumentError, match=message):
            document.read(path)


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    parsed = document.read(path)
    assert parsed.data == {"a": 1, "b": 2}
    assert parsed.at(("b",)) == (2, 4)


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("lerning_rate", ["learning_rate", "network_dim"], "learning_rate"),
        ("ADAMW", ["AdamW", "Prodigy"], "AdamW"),
        ("zebra", ["learning_rate"], None),
    ],
)
def test_the_nearest_known_word_is_suggested(word: str, known: list[str], meant: str | None) -> None:
    assert document.nearest(word, known) == meant


def test_complaints_of_pydantic_get_places_and_remedies() -> None:
    import json

    import pydantic

    class Search(pydantic.BaseModel, extra="forbid", strict=True):
        trials: int
        seed: int

    class Study(pydantic.BaseModel, extra="forbid", strict=True):
        name: str
        rate: float
        search: Search

    parsed = document.parse('name: 3\nrate: "1e-4"\nsearch:\n  trails: 4\n  seed: "4"\n', "s.yaml")
    with pytest.raises(pydantic.ValidationError) as caught:
        Study.model_validate_json(json.dumps(parsed.data))
    found = sorted(problem.render() for problem in document.problems_of(parsed, caught.value, Study))
    assert found == [
        "s.yaml:1:7: must be text, not 3\n    name: 3\n          ^",
        "s.yaml:2:7: '1e-4' is text\n    rate: \"1e-4\"\n          ^\n    hint: write 1.0e-4 without quotes",
        "s.yaml:3:1: 'trials' is missing\n    search:\n    ^",
        "s.yaml:4:3: unknown key 'trails'\n      trails: 4\n      ^\n    hint: did you mean 'trials'?",
        "s.yaml:5:9: '4' is text\n      seed: \"4\"\n            ^\n    hint: write 4 without quotes",
    ]
