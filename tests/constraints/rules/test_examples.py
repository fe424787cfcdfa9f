import pytest

from constraints.rules import examples, loading
from constraints.rules.ruleset import RuleText
from constraints.text.errors import DocumentError

FILE = """\
rules_version: 1
name: t
parameters: [learning_rate, network_dim, optimizer_type]
rules:
  - {id: low-rate, refuse: learning_rate > 1e-4 and optimizer_type == "AdamW8bit", because: x}
  - {id: small, discourage: network_dim > 64, weight: 0.5, because: x}
  - {id: calm, stop: loss > 3, because: x}
  - {id: usable, expect: failure_rate <= 0.1, because: x}
examples:
"""


def run(*entries: str) -> list[tuple[str, ...]]:
    text = FILE + "\n".join(f"  - {{name: e, {entry}}}" for entry in entries)
    return [result.problems for result in examples.run([RuleText(text, "t.yaml")])]


@pytest.mark.parametrize("name", sorted(loading.library()))
def test_every_shipped_rule_file_passes_its_own_examples(name: str) -> None:
    results = examples.run([name])
    assert len(results) >= 5
    assert [result for result in results if not result.passed] == []


def test_examples_hold_for_all_kinds_of_rules() -> None:
    assert (
        run(
            "given: {learning_rate: 2.0e-4, optimizer_type: AdamW8bit}, refused_by: [low-rate]",
            "given: {learning_rate: 2.0e-4, optimizer_type: AdamW}, refused_by: []",
            "given: {network_dim: 128}, discouraged_by: [small], refused_by: []",
            "given: {loss: 4}, stopped_by: [calm]",
            "given: {failure_rate: 0.2}, unusable_by: [usable]",
            "given: {failure_rate: 0.05}, unusable_by: []",
        )
        == [()] * 6
    )


def test_what_an_example_does_not_give_is_not_set() -> None:
    assert run("given: {learning_rate: 2.0e-4}, refused_by: []") == [()]


def test_differences_are_told_with_the_numbers() -> None:
    assert run("given: {learning_rate: 2.0e-4, optimizer_type: AdamW8bit}, refused_by: []") == [
        ("is refused by low-rate: learning_rate 0.0002 is above 0.0001 and optimizer_type is AdamW8bit",)
    ]
    assert run("given: {learning_rate: 1.0e-5, optimizer_type: AdamW8bit}, refused_by: [low-rate]") == [
        ("should be refused by low-rate, but is not",)
    ]


def test_dots_at_the_end_mean_these_at_least() -> None:
    assert run("given: {learning_rate: 2.0e-4, optimizer_type: AdamW8bit}, refused_by: [...]") == [()]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("given: {}, refused_by: [lowrate]", "there is no refuse or require rule 'lowrate'"),
        ("given: {}, refused_by: [small]", "there is no refuse or require rule 'small'"),
        ("given: {}", "needs at least one of refused_by"),
        ("given: {network_dim: large}, refused_by: []", "'network_dim' is text, which has no order"),
    ],
)
def test_examples_that_cannot_be_meant_are_errors(entry: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        run(entry)


def test_results_are_shown_like_a_test_run() -> None:
    text = (
        FILE
        + "  - {name: fine, given: {loss: 1}, stopped_by: []}\n"
        + "  - {name: wrong, given: {loss: 1}, stopped_by: [calm]}\n"
    )
    assert examples.render(examples.run([RuleText(text, "t.yaml")])) == (
        "ok      fine\nFAILED  wrong\n        t.yaml:11: should be stopped by calm, but is not\n1 passed, 1 failed"
    )


def test_a_slip_in_an_example_is_blamed_on_the_example() -> None:
    text = """\
rules_version: 1
name: t
rules:
  - {id: low-rate, refuse: learning_rate > 1e-4, because: x}
examples:
  - {name: e, given: {lerning_rate: 2.0e-4, seed: 3}, refused_by: [low-rate]}
"""
    with pytest.raises(DocumentError) as raised:
        examples.run([RuleText(text, "t.yaml")])
    (problem,) = raised.value.problems
    assert (problem.line, problem.column) == (6, 23)
    assert problem.message == "no rule of this file speaks of 'lerning_rate'"
    assert problem.hint == "did you mean 'learning_rate'?"
