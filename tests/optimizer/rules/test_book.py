"""A study's rules as versions in the database, followed while it runs."""

import pathlib

import pytest

from optimizer import errors
from optimizer.rules import book as rulebook
from optimizer.rules import compiled
from optimizer.study import resolved as study
from storage import database as databases
from storage import errors as storage_errors
from storage import rule_versions
from tests.storage import holding

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


def pushed(database: databases.Database, spec: study.Study, *followers: study.Study) -> rulebook.Rulebook:
    with database.transaction() as connection:
        return rulebook.push(connection, spec, "me", followers)


def refused_by(book: rulebook.Rulebook, rate: float) -> tuple[str, ...]:
    return book.rules.check_point({"learning_rate": rate, "network_dim": 4}).refused_by


def test_files_become_versions_of_a_set_each(database: databases.Database, spec: study.Study) -> None:
    book = pushed(database, spec)
    assert book.label == "first@1, second@1"
    assert refused_by(book, 0.0009) == ("first-limit", "second-limit")


def test_a_running_study_follows_the_newest_version(database: databases.Database, spec: study.Study) -> None:
    book = pushed(database, spec)
    assert refused_by(book, 0.0003) == ()
    holding.push(database, "first", rules("first", 0.0002))
    with database.transaction() as connection:
        book.refresh(connection)
    assert refused_by(book, 0.0003) == ("first-limit",)
    assert book.label == "first@2, second@1"


def test_a_file_that_was_not_edited_never_takes_the_place_of_a_newer_version(
    database: databases.Database, spec: study.Study
) -> None:
    pushed(database, spec)
    holding.push(database, "first", rules("first", 0.0002))
    again = pushed(database, spec)
    assert again.label == "first@2, second@1"
    assert refused_by(again, 0.0003) == ("first-limit",)


def test_an_edited_file_is_a_new_version(database: databases.Database, spec: study.Study) -> None:
    pushed(database, spec)
    pathlib.Path(spec.rules[0]).write_text(rules("first", 0.0001), encoding="utf-8")
    assert pushed(database, spec).label == "first@2, second@1"


def test_nothing_is_stored_when_one_of_the_files_is_wrong(database: databases.Database, spec: study.Study) -> None:
    pathlib.Path(spec.rules[1]).write_text(rules("second", 0.0008).replace("learning_rate", "learning_rte"))
    with pytest.raises(errors.BadInput, match=r"second\.yaml:5:.*learning_rte"):
        pushed(database, spec)
    assert rule_versions.listed(database) == []


def test_a_rule_id_that_two_files_share_is_an_error_before_anything_is_stored(
    database: databases.Database, spec: study.Study
) -> None:
    pathlib.Path(spec.rules[1]).write_text(rules("second", 0.0008).replace("second-limit", "first-limit"))
    with pytest.raises(errors.BadInput, match="first-limit"):
        pushed(database, spec)
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
        compiled.of_files(spec)
    assert "first.yaml:" in str(caught.value)


def test_a_script_of_ones_own_may_tell_any_metric(spec: study.Study) -> None:
    text = rules("first", 0.0005) + "  - id: good\n    expect: colour_error <= 0.2\n    because: It is no use.\n"
    pathlib.Path(spec.rules[0]).write_text(text, encoding="utf-8")
    assert compiled.of_files(spec.model_copy(update={"trainer": "command"})).rules


def test_a_version_that_a_follower_cannot_use_is_not_pushed_and_each_follower_says_why(
    database: databases.Database, spec: study.Study
) -> None:
    pushed(database, spec)
    narrow = {"network_dim": spec.space["network_dim"]}
    followers = [spec.model_copy(update={"name": name, "space": narrow, "rules": ("first",)}) for name in ("a", "b")]
    pathlib.Path(spec.rules[0]).write_text(rules("first", 0.0001), encoding="utf-8")
    with pytest.raises(errors.BadInput) as refused:
        pushed(database, spec, *followers)
    for name in ("a", "b"):
        assert f"the study {name!r} follows 'first'" in str(refused.value)
    assert str(refused.value).count("first.yaml:5:") == 2
    assert len(rule_versions.listed(database, "first")) == 1


def test_a_version_that_cannot_be_used_leaves_the_last_good_one_in_force_and_is_told_once(
    database: databases.Database, spec: study.Study
) -> None:
    book = pushed(database, spec)
    holding.push(database, "first", rules("first", 0.0002).replace("learning_rate", "learning_rte"))
    with database.transaction() as connection:
        said = [book.refresh(connection), book.refresh(connection)]
    assert "first@1, second@1 stay in force" in str(said[0])
    assert "first@2:5:" in str(said[0])
    assert said[1] is None
    assert refused_by(book, 0.0009) == ("first-limit", "second-limit")
    # whoever joins now keeps it as well, until a version that can be used comes
    assert pushed(database, spec).label == "first@1, second@1"
    holding.push(database, "first", rules("first", 0.0001))
    with database.transaction() as connection:
        assert book.refresh(connection) is None
    assert book.label == "first@3, second@1"


def test_newer_rules_are_followed_where_the_database_went_away_while_they_were_read(
    database: databases.Database, spec: study.Study
) -> None:
    book = pushed(database, spec)
    holding.push(database, "first", rules("first", 0.0002))
    cut_off = holding.cut_off(database, when="DISTINCT ON")
    with pytest.raises(storage_errors.DatabaseUnreachable), cut_off, database.transaction() as connection:
        book.refresh(connection)
    with database.transaction() as connection:
        assert book.refresh(connection) is None
    assert book.label == "first@2, second@1"
