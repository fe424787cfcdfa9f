"""Brings our tables up to this version, and tells where a database differs from it."""

import pathlib
from typing import Any

import sqlalchemy
from alembic import autogenerate, command, config, runtime, script, util

from storage import database, errors, optuna_store, tables


def _only_ours(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "schema" or name == tables.SCHEMA


OPTIONS: dict[str, Any] = {
    "version_table_schema": tables.SCHEMA,
    "include_schemas": True,
    "include_name": _only_ours,
    "compare_server_default": False,  # Postgres rewrites defaults, and so every one would seem to differ
}


def migrate(target: database.Database, version: str = "head") -> None:
    """Make our tables and Optuna's, or bring ours up to this version. Many may call it at once.

    Args:
        version: of our tables; an older one is for tests of what comes after it.

    Raises:
        errors.SchemaMismatch: the tables are those of a version that this program does not know.
    """
    with target.transaction() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": optuna_store.SCHEMA_LOCK})
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA IF NOT EXISTS {tables.SCHEMA}"))
        settings = _config()
        settings.attributes["connection"] = connection
        try:
            command.upgrade(settings, version)
        except util.CommandError as error:
            raise errors.SchemaMismatch(
                f"{target.place}: the tables have version {_current(connection)}, which this program does not know; "
                "they were made by a newer Tuneguard. Update this one, or use another database."
            ) from error
    optuna_store.create_tables(target)


def verify(target: database.Database) -> list[str]:
    """How the tables, Optuna's too, differ from those of this version: a sentence each; none where all is well."""
    return _verify_ours(target) + optuna_store.verify(target)


def _verify_ours(target: database.Database) -> list[str]:
    with target.transaction() as connection:
        head = script.ScriptDirectory.from_config(_config()).get_current_head()
        current = _current(connection)
        if current is None:
            return [f"{target.place} holds no tables of Tuneguard: run `tuneguard db migrate`."]
        found = []
        if current != head:
            found.append(
                f"The tables are those of version {current}, this program needs {head}: run `tuneguard db migrate`."
            )
        differences = autogenerate.compare_metadata(_context(connection), tables.metadata)
        return found + [f"Differs from this version: {_sentence(difference)}." for difference in differences]


def _context(connection: sqlalchemy.Connection) -> runtime.migration.MigrationContext:
    return runtime.migration.MigrationContext.configure(connection, opts=OPTIONS)


def _current(connection: sqlalchemy.Connection) -> str | None:
    return _context(connection).get_current_revision()


def _config() -> config.Config:
    settings = config.Config()
    settings.set_main_option("script_location", str(pathlib.Path(__file__).parent / "migrations"))
    settings.set_main_option("path_separator", "os")
    return settings


def _sentence(difference: Any) -> str:
    if isinstance(difference, list):  # several changes of one column
        return "; ".join(_sentence(inner) for inner in difference)
    kind, *what = difference
    names = [getattr(part, "name", None) or part for part in what if part is not None]
    return f"{kind.replace('_', ' ')} {' '.join(str(name) for name in names if not isinstance(name, dict))}"
