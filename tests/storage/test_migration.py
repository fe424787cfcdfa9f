import concurrent.futures
import re
import uuid

import pytest

from storage import database as db
from storage import errors, migration, optuna_store, refusals, results, rule_versions


def test_an_empty_database_says_that_it_must_be_migrated(empty_database: db.Database) -> None:
    found = migration.verify(empty_database)
    assert len(found) == 2
    assert all("run `tuneguard db migrate`" in sentence for sentence in found)


@pytest.mark.slow
def test_after_migrating_the_tables_are_exactly_those_that_the_program_knows(empty_database: db.Database) -> None:
    migration.migrate(empty_database)
    migration.migrate(empty_database)
    assert migration.verify(empty_database) == []


@pytest.mark.slow
def test_many_may_migrate_at_once(empty_database: db.Database) -> None:
    def migrate(_: int) -> None:
        opened = db.Database(empty_database.url)
        migration.migrate(opened)
        opened.close()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, range(4)))
    assert migration.verify(empty_database) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE tuneguard_data.attempts DROP COLUMN device", "attempts device"),
        ("ALTER TABLE tuneguard_data.leases ALTER COLUMN token TYPE integer", "leases token"),
        ("ALTER TABLE tuneguard_data.studies ADD COLUMN extra text", "studies extra"),
        ("DROP INDEX tuneguard_data.ix_refusals_study_id_id", "ix_refusals_study_id_id"),
        ("DROP TABLE tuneguard_data.results", "results"),
        ("UPDATE tuneguard_data.alembic_version SET version_num = '0000'", "version 0000, this program needs 0006"),
        ("UPDATE alembic_version SET version_num = 'v0.9.0.a'", r"Optuna's tables have version v0\.9\.0\.a"),
    ],
)
def test_each_difference_is_named(database: db.Database, change: str, said: str) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(change)
    assert re.search(said, " ".join(migration.verify(database)))


def test_tables_of_a_newer_version_are_left_alone(database: db.Database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE tuneguard_data.alembic_version SET version_num = '9999'")
    with pytest.raises(errors.SchemaMismatch, match=r"version 9999.*newer Tuneguard"):
        migration.migrate(database)


def test_tables_of_another_optuna_are_not_opened(database: db.Database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(errors.SchemaMismatch, match="Optuna's tables are not those of Optuna 5"):
        optuna_store.open_storage(database)


def test_a_role_named_like_us_still_finds_optunas_tables(database: db.Database) -> None:
    """Postgres looks into a schema of the role's own name first, and the embedded role is `tuneguard`."""
    import optuna

    optuna.create_study(storage=optuna_store.open_storage(database), study_name="seen")
    assert optuna.get_all_study_names(database.url) == ["seen"]
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar_one() == "tuneguard"
        assert connection.exec_driver_sql("SELECT study_name FROM public.studies").scalar_one() == "seen"


def test_the_one_rule_version_of_older_results_and_refusals_becomes_a_list(empty_database: db.Database) -> None:
    migration.migrate(empty_database, "0002")
    with empty_database.transaction() as connection:
        study = str(uuid.uuid4())
        connection.exec_driver_sql(
            "INSERT INTO tuneguard_data.studies (id, name, folder, document) VALUES (%s, 'kitten', 'kitten', '')",
            (study,),
        )
        version = rule_versions.push(connection, "set", "text").id
        for at, known in enumerate((version, None)):
            connection.exec_driver_sql(
                "INSERT INTO tuneguard_data.results (study_id, trial_number, token, rule_version_id, outcome)"
                " VALUES (%s, %s, 1, %s, 'usable')",
                (study, at, known),
            )
            connection.exec_driver_sql(
                "INSERT INTO tuneguard_data.refusals (study_id, rule_version_id, refused_by, source)"
                " VALUES (%s, %s, '{high-rate}', 'sampled')",
                (study, known),
            )
    migration.migrate(empty_database)
    assert [result.rule_version_ids for result in results.listed(empty_database, study)] == [[version], []]
    kept = [each.refusal.rule_version_ids for each in refusals.recent(empty_database, study)]
    assert kept == [(), (version,)]
    assert migration.verify(empty_database) == []
