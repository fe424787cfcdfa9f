import socket

import hypothesis
import pytest
import sqlalchemy
from hypothesis import strategies as st

from storage import database as db
from storage import errors


def test_a_bare_postgres_url_is_read_with_psycopg2() -> None:
    assert db.Database("postgresql://u:p@h:1/d").url == "postgresql+psycopg2://u:p@h:1/d"
    assert db.Database("postgres://u@h/d").url == "postgresql+psycopg2://u@h/d"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///x.db", "'sqlite', but Tuneguard needs Postgres"),
        ("postgresql+psycopg://u:p@h/d", r"'postgresql\+psycopg'"),
        ("postgresql://u:s3cret@h:port/d", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_an_url_that_cannot_be_used_says_how_it_must_look(url: str, said: str) -> None:
    with pytest.raises(errors.BadDatabaseUrl, match=said) as caught:
        db.Database(url)
    assert "s3cret" not in str(caught.value)


@hypothesis.given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6))
def test_the_shown_url_and_place_never_hold_the_password(password: str) -> None:
    password = f"s3cret-{password}"
    for url in (
        sqlalchemy.URL.create("postgresql", "u", password, "h", 5432, "d"),
        sqlalchemy.URL.create("postgresql", host="h", database="d", query={"password": password, "sslmode": "disable"}),
    ):
        made = db.Database(url.render_as_string(hide_password=False))
        assert "s3cret" not in made.url_without_password + made.place + repr(made)
        assert "s3cret" in made.url


def test_a_server_that_is_not_there_is_named_with_a_remedy_and_without_the_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: whoever connects is turned away
        port = taken.getsockname()[1]
        missing = db.Database(f"postgresql://u:s3cret@127.0.0.1:{port}/d")
        with (
            pytest.raises(
                errors.DatabaseUnreachable, match=rf"127.0.0.1:{port} \(database d\).*tuneguard db up"
            ) as caught,
            missing.transaction(),
        ):
            pass
    assert "s3cret" not in str(caught.value)


def test_a_database_that_does_not_exist_is_an_error_of_ours(database: db.Database) -> None:
    gone = db.Database(database.url.replace("/test_", "/gone_"))
    with pytest.raises(errors.DatabaseUnreachable, match=r'database "gone_\w+" does not exist'), gone.transaction():
        pass


def test_a_connection_that_is_cut_within_a_transaction_is_an_error_of_ours_and_the_next_one_works(
    database: db.Database, server: sqlalchemy.Engine
) -> None:
    with pytest.raises(errors.DatabaseUnreachable), database.transaction() as connection:  # noqa: PT012
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with server.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
        connection.exec_driver_sql("SELECT 1")
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_a_connection_that_was_cut_between_transactions_is_replaced(
    database: db.Database, server: sqlalchemy.Engine
) -> None:
    with database.transaction() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with server.connect() as other:
        other.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_a_full_disk_of_the_server_is_told_apart(database: db.Database) -> None:
    with pytest.raises(errors.DiskFull, match="no space left"), database.transaction() as connection:
        connection.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$")


def test_errors_of_a_statement_pass_unchanged_and_roll_back(database: db.Database) -> None:
    with pytest.raises(sqlalchemy.exc.ProgrammingError), database.transaction() as connection:  # noqa: PT012
        connection.exec_driver_sql("CREATE TABLE kept (x int)")
        connection.exec_driver_sql("SELECT nonsense")
    with database.transaction() as connection:
        assert not sqlalchemy.inspect(connection).has_table("kept")


def test_optunas_errors_become_ours_when_the_database_goes_away(
    database: db.Database, server: sqlalchemy.Engine
) -> None:
    from storage import optuna_store

    opened = optuna_store.open_storage(database)
    with server.connect() as other:
        other.exec_driver_sql(f"ALTER DATABASE {database.url.rpartition('/')[2]} ALLOW_CONNECTIONS false")
        other.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%%'")
    with pytest.raises(errors.DatabaseUnreachable), database.clear_errors():
        opened.get_all_studies()
