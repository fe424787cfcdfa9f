import concurrent.futures

import optuna
import pytest

from storage import database as db
from storage import optuna_store


def test_a_study_opens_with_plain_optuna_by_the_same_url(database: db.Database) -> None:
    study = optuna.create_study(storage=optuna_store.open_storage(database), study_name="kitten")
    study.tell(study.ask({"lr": optuna.distributions.FloatDistribution(1e-5, 1e-3)}), 1.0)
    again = optuna.load_study(study_name="kitten", storage=database.url)
    assert [trial.value for trial in again.trials] == [1.0]


@pytest.mark.slow
def test_the_first_opening_by_many_at_once_makes_the_tables_once(empty_database: db.Database) -> None:
    def open_it(_: int) -> int:
        opened = db.Database(empty_database.url)
        studies = optuna_store.open_storage(opened).get_all_studies()
        opened.close()
        return len(studies)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(open_it, range(4))) == [0] * 4
    assert optuna_store.verify(empty_database) == []


def test_optuna_keeps_quiet_about_what_is_no_trouble(database: db.Database) -> None:
    optuna_store.open_storage(database)
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
