"""Opens Optuna's own storage in our database: the truth for trials' parameters, values and states."""

import optuna
import sqlalchemy

from storage import database, errors

#: whoever makes or changes tables, ours or Optuna's, holds this advisory lock
SCHEMA_LOCK = 0x74756E6567756172  # "tuneguar"

#: the version of Optuna's tables that `storage.trials` reads and writes
SCHEMA = "v3.2.0.a"

#: Optuna checks connections before use on MySQL only; without it a trial of an hour ends in a dead connection
_ENGINE = {
    "pool_pre_ping": True,
    "pool_size": 1,
    "max_overflow": 2,
    "pool_recycle": 1800,
    "connect_args": database.CONNECTING,
}


def open_storage(source: database.Database) -> optuna.storages.BaseStorage:
    """Optuna's storage, cached as `optuna.load_study` would have it; its tables are made where there are none.

    Raises:
        errors.DatabaseUnreachable: the database cannot be used.
        errors.SchemaMismatch: the tables were made by another, incompatible Optuna.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line for each trial is told by us
    return optuna.storages.get_storage(_opened(source))


def create_tables(source: database.Database) -> None:
    """Make Optuna's tables where there are none; raises as `open_storage`."""
    _opened(source).engine.dispose()


def verify(source: database.Database) -> list[str]:
    """How Optuna's tables differ from those that the installed Optuna needs, a sentence each."""
    with source.transaction() as connection:
        if not sqlalchemy.inspect(connection).has_table("version_info"):
            return [f"{source.place} holds no tables of Optuna: run `tuneguard db migrate`."]
    with source.clear_errors():
        plain = optuna.storages.RDBStorage(
            source.url, engine_kwargs=dict(_ENGINE), skip_compatibility_check=True, skip_table_creation=True
        )
        current, head = plain.get_current_version(), plain.get_head_version()
        plain.engine.dispose()
    if current == head:
        return []
    return [
        f"Optuna's tables have version {current}, Optuna {optuna.__version__} needs {head}: "
        "run `optuna storage upgrade --storage URL`."
    ]


def _opened(source: database.Database) -> optuna.storages.RDBStorage:
    with source.transaction() as connection:
        # Optuna makes its tables without a lock, and two first starts at once would trip over each other.
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SCHEMA_LOCK})
        try:
            opened = optuna.storages.RDBStorage(source.url, engine_kwargs=dict(_ENGINE))
        except RuntimeError as error:
            raise errors.SchemaMismatch(
                f"{source.place}: Optuna's tables are not those of Optuna {optuna.__version__}: {error}"
            ) from error
        found = opened.get_current_version()
        if found != SCHEMA:
            raise errors.SchemaMismatch(
                f"{source.place}: Optuna {optuna.__version__} keeps trials in tables of version {found}, this "
                f"Tuneguard writes version {SCHEMA}: install the Optuna that versions.txt names, or update Tuneguard."
            )
        return opened
