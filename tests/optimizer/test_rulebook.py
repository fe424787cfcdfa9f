"""A study's rules as versions in the database, followed while it runs."""

import pathlib

import pytest

from optimizer import errors, rulebook, study
from storage import database as databases
from storage import rule_versions

STUDY = """\
study_version: 1
name: my-character
base: demo
dataset: ./data
space:
  learning_rate: {float: [1.0e-5, 1.0e-3], log: true}
  network_dim: {choices: [4, 8]}
rules: [first.yaml, second.yaml]
objectives: {clip_score: maximize}
evaluation: {prompts: [a cat]}
"""
RULES = """\
rules_version: 1
name: NAME
rules:
  - id: NAME-limit
    refuse: learning_rate > LIMIT
    because: It was too high.
"""


def rules(name: str, limit: float) -> str:
    return RULES.replace("NAME", name).replace("LIMIT", str(limit))


@pytest.fixture
def spec(tmp_path: pathlib.Path) -> study.Study:
    (tmp_path / "first.yaml").write_text(rules("first", 0.0005), encoding="utf-8")
    (tmp_path / "second.yaml").write_text(rules("second", 0.0008), encoding="utf-8")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return study.read(path)


def refused_by(book: rulebook.Rulebook, rate: float) -> tuple[str, ...]:
    return book.rules.check_point({"learning_rate": rate, "network_dim": 4}).refused_by


def test_files_become_versions_of_a_set_each(database: databases.Database, spec: study.Study) -> None:
    book = rulebook.push(database, spec, author="me")
    assert book.label == "first@1, second@1"
    assert refused_by(book, 0.0009) == ("first-limit", "second-limit")


def test_a_running_study_follows_the_newest_version(database: databases.Database, spec: study.Study) -> None:
    book = rulebook.push(database, spec, author="me")
    assert refused_by(book, 0.0003) == ()
    rule_versions.push(database, "first", rules("first", 0.0002))
    with database.transaction() as connection:
        book.refresh(connection)
    assert refused_by(book, 0.0003) == ("first-limit",)
    assert book.label == "first@2, second@1"


def test_a_file_that_was_not_edited_never_takes_the_place_of_a_newer_version(
    database: databases.Database, spec: study.Study
) -> None:
    rulebook.push(database, spec, author="me")
    rule_versions.push(database, "first", rules("first", 0.0002))
    again = rulebook.push(database, spec, author="me")
    assert again.label == "first@2, second@1"
    assert refused_by(again, 0.0003) == ("first-limit",)


def test_an_edited_file_is_a_new_version(database: databases.Database, spec: study.Study) -> None:
    rulebook.push(database, spec, author="me")
    pathlib.Path(spec.rules[0]).write_text(rules("first", 0.0001), encoding="utf-8")
    assert rulebook.push(database, spec, author="me").label == "first@2, second@1"


def test_nothing_is_stored_when_one_of_the_files_is_wrong(database: databases.Database, spec: study.Study) -> None:
    pathlib.Path(spec.rules[1]).write_text(rules("second", 0.0008).replace("learning_rate", "learning_rte"))
    with pytest.raises(errors.BadInput, match=r"second\.yaml:5:.*learning_rte"):
        rulebook.push(database, spec, author="me")
    assert rule_versions.listed(database) == []


def test_a_rule_id_that_two_files_share_is_an_error_before_anything_is_stored(
    database: databases.Database, spec: study.Study
) -> None:
    pathlib.Path(spec.rules[1]).write_text(rules("second", 0.0008).replace("second-limit", "first-limit"))
    with pytest.raises(errors.BadInput, match="first-limit"):
        rulebook.push(database, spec, author="me")
    assert rule_versions.listed(database) == []


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("clip_scor >= 0.2", "clip_score"),
        ("held_out_clip_score >= 0.2", "evaluation.held_out has prompts"),
        ("subject_similarity_dino >= 0.2", "evaluation.dino names a model"),
        ("prompt_similarity <= 0.9", "there are two prompts"),
    ],
)
def test_a_rule_on_a_metric_that_no_trial_will_tell_is_an_error(spec: study.Study, expect: str, said: str) -> None:
    text = rules("first", 0.0005) + f"  - id: good\n    expect: {expect}\n    because: It is no use otherwise.\n"
    pathlib.Path(spec.rules[0]).write_text(text, encoding="utf-8")
    with pytest.raises(errors.BadInput, match=said) as caught:
        rulebook.of_files(spec)
    assert "first.yaml:" in str(caught.value)


def test_a_script_of_ones_own_may_tell_any_metric(spec: study.Study) -> None:
    text = rules("first", 0.0005) + "  - id: good\n    expect: colour_error <= 0.2\n    because: It is no use.\n"
    pathlib.Path(spec.rules[0]).write_text(text, encoding="utf-8")
    assert rulebook.of_files(spec.model_copy(update={"trainer": "command"})).rules
