"""A real Postgres for the tests: one server a session, one database a test, copied from a migrated template."""

import pathlib
import uuid
from collections.abc import Iterator

import hypothesis
import pytest
import sqlalchemy

from storage import database as storage_database
from storage import migration
from storage.server import embedded

# the machine that runs the tests may be busy: no deadline a case, and no complaint about slow generation
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

_TEMPLATE = "tuneguard_template"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: on two cores, what is left for the end is short."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def postgres_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A home whose embedded server runs as long as the test session."""
    home = tmp_path_factory.mktemp("postgres")
    embedded.start(home)
    yield home
    embedded.stop(home)


@pytest.fixture(scope="session")
def server(postgres_home: pathlib.Path) -> sqlalchemy.Engine:
    """Makes and drops databases; the template is there."""
    url = sqlalchemy.make_url(embedded.start(postgres_home))
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        # Nothing here outlives the session, so nothing needs to reach the disk.
        connection.execute(sqlalchemy.text("ALTER SYSTEM SET fsync = off"))
        connection.execute(sqlalchemy.text("SELECT pg_reload_conf()"))
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {_TEMPLATE}"))
    template = storage_database.Database(url.set(database=_TEMPLATE).render_as_string(hide_password=False))
    migration.migrate(template)
    template.close()
    return engine


@pytest.fixture
def empty_database(server: sqlalchemy.Engine) -> Iterator[storage_database.Database]:
    """A database without any table."""
    yield from _database(server, "template0")


@pytest.fixture
def database(server: sqlalchemy.Engine) -> Iterator[storage_database.Database]:
    """A database with our tables and Optuna's, and no row in them."""
    yield from _database(server, _TEMPLATE)


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def _database(server: sqlalchemy.Engine, template: str) -> Iterator[storage_database.Database]:
    name = f"test_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    made = storage_database.Database(server.url.set(database=name).render_as_string(hide_password=False))
    yield made
    made.close()
    with server.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
