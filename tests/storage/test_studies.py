import optuna
import pytest

from storage import database as db
from storage import errors, studies
from tests.storage import holding


def test_a_study_is_found_by_its_name_as_it_was_made(database: db.Database) -> None:
    made = holding.study(database, "kitten", "study_version: 1\n")
    assert studies.get(database, "kitten") == made
    assert (made.document, made.facts) == ("study_version: 1\n", studies.StudyFacts())


def test_a_study_of_the_same_name_as_a_deleted_one_has_another_folder(database: db.Database) -> None:
    first = holding.study(database, "kitten")
    optuna.delete_study(study_name="kitten", storage=database.url)
    studies.delete(database, first.id)
    second = holding.study(database, "kitten")
    assert first.folder.startswith("kitten-")
    assert second.folder.startswith("kitten-")
    assert first.folder != second.folder


def test_a_name_is_given_once(database: db.Database) -> None:
    holding.study(database, "kitten")
    with pytest.raises(errors.AlreadyExists, match="a study 'kitten' already"):
        holding.study(database, "kitten")


def test_an_unknown_study_is_an_error_that_names_those_there_are(database: db.Database) -> None:
    holding.study(database, "kitten")
    with pytest.raises(errors.NotFound, match=r"no study 'kittn'.*There are: kitten\."):
        studies.get(database, "kittn")


def test_facts_are_added_to_those_there_are_and_non_finite_ones_become_null(database: db.Database) -> None:
    study = holding.study(database, "kitten")
    for found in (
        studies.StudyFacts(dataset_hash="a", rule_sets=("one", "two")),
        studies.StudyFacts(dataset_hash="b", baseline={"clip_score": float("nan"), "who": "a\x00b"}),
    ):
        with database.transaction() as connection:
            studies.learn(connection, study.id, found)
    known = studies.StudyFacts(
        dataset_hash="b", rule_sets=("one", "two"), baseline={"clip_score": None, "who": "a\ufffdb"}
    )
    assert studies.get(database, "kitten").facts == known


def test_workers_that_join_are_counted(database: db.Database) -> None:
    study = holding.study(database, "kitten")
    with database.transaction() as connection:
        assert [studies.join(connection, study.id) for _ in range(3)] == [0, 1, 2]


def test_studies_are_listed_oldest_first_until_they_are_deleted(database: db.Database) -> None:
    first = holding.study(database, "b")
    second = holding.study(database, "a")
    assert [study.name for study in studies.listed(database)] == ["b", "a"]
    studies.delete(database, first.id)
    assert studies.listed(database) == [second]
