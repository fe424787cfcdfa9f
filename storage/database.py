"""The one door to the database: engine, transactions, and errors that a person can act on."""

import contextlib
import functools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy
from sqlalchemy import exc

from storage import errors

_DRIVER = "postgresql+psycopg2"
_DISK_FULL = "53100"
#: SQLSTATE classes that mean the server, not the statement: connection failure, too many connections, shutdown
_UNREACHABLE = ("08", "53", "57P")
#: to libpq: a host that does not answer, or does not any more, is given up after some 20 to 30 seconds, not hours
CONNECTING = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class Database:
    """A Postgres database by its URL; connects when it is first used.

    Raises:
        errors.BadDatabaseUrl: the URL is no Postgres URL, or names another driver than psycopg2.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)

    @property
    def url(self) -> str:
        """The full URL, password included: for drivers only, never for messages."""
        return self._url.render_as_string(hide_password=False)

    @property
    def url_without_password(self) -> str:
        query = {key: value for key, value in self._url.query.items() if key != "password"}
        bare = sqlalchemy.URL.create(
            self._url.drivername,
            username=self._url.username,
            host=self._url.host,
            port=self._url.port,
            database=self._url.database,
            query=query,
        )
        return bare.render_as_string()

    @property
    def place(self) -> str:
        """`host:port (database name)`, for messages."""
        host = self._url.host or self._url.query.get("host", "local socket")
        return f"{host}:{self._url.port or 5432} (database {self._url.database or self._url.username})"

    @functools.cached_property
    def engine(self) -> sqlalchemy.Engine:
        """One connection, a second for the moment in which two are needed; checked before each use."""
        return sqlalchemy.create_engine(
            self._url,
            pool_pre_ping=True,
            pool_size=1,
            max_overflow=1,
            pool_recycle=1800,
            connect_args=CONNECTING,
            json_serializer=_json,
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlalchemy.Connection]:
        """A connection in a transaction: committed at the end, rolled back when anything is raised.

        Raises:
            errors.DatabaseUnreachable: the database does not answer, does not let us in, or went away.
            errors.DiskFull: it has no space left.
        """
        with self.clear_errors(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def clear_errors(self) -> Iterator[None]:
        """Whatever is done inside on this database, also by Optuna: its failures become ours (see `transaction`).

        Errors that do not concern the server pass unchanged.
        """
        try:
            yield
        except errors.StorageError:
            raise
        except Exception as error:
            clear = self._clear(error)
            if clear is None:
                raise
            raise clear from error

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def _clear(self, error: BaseException | None) -> errors.StorageError | None:
        while error is not None and not isinstance(error, exc.OperationalError | exc.InterfaceError):
            error = error.__cause__  # Optuna wraps what SQLAlchemy raises
        if error is None:
            return None
        state = getattr(error.orig, "pgcode", None)
        if state == _DISK_FULL:
            return errors.DiskFull(f"The database at {self.place} has no space left on its disk. Make room there.")
        if state is not None and not state.startswith(_UNREACHABLE):
            return None
        return errors.DatabaseUnreachable(
            f"The database at {self.place} cannot be used: {_first_line(error)}. Start it (`tuneguard db up` for the "
            "embedded one), or correct TUNEGUARD_DATABASE_URL."
        )


def _parsed(url: str) -> sqlalchemy.URL:
    try:
        parsed = sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError):
        # The cause is left out on purpose: where a password is not escaped, a part of it may stand in there.
        raise errors.BadDatabaseUrl(
            "The database URL cannot be read. It must look like postgresql://user:password@host:5432/name; characters "
            "of the password such as @ : / must be written as %40 %3A %2F."
        ) from None
    if parsed.drivername not in ("postgresql", "postgres", _DRIVER):
        raise errors.BadDatabaseUrl(
            f"The database URL names {parsed.drivername!r}, but Tuneguard needs Postgres through psycopg2: begin it "
            f"with {_DRIVER}://"
        )
    return parsed.set(drivername=_DRIVER)


def _first_line(error: exc.DBAPIError) -> str:
    """The driver's own words; SQLAlchemy's would add the statement and its values."""
    text = str(error.orig).strip()
    return text.splitlines()[0] if text else type(error.orig).__name__


def _json(value: Any) -> str:
    return json.dumps(storable(value), allow_nan=False)


def storable(value: Any) -> Any:
    """What text and jsonb columns can hold: NaN and infinities become null, text loses its NUL characters."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    return value
