import contextlib
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest

from storage import database, errors
from storage.server import embedded, server_user

pytestmark = pytest.mark.slow

PORT = 17321


@pytest.fixture
def stopped_home(home: pathlib.Path) -> Iterator[pathlib.Path]:
    """A home whose server, if the test starts one, is stopped afterwards."""
    yield home
    with contextlib.suppress(errors.StorageError):
        embedded.stop(home)


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A home whose server has run once and is stopped."""
    home = tmp_path_factory.mktemp("initialised")
    embedded.start(home)
    embedded.stop(home)
    yield home
    embedded.stop(home)


def answer(url: str) -> str:
    with contextlib.closing(database.Database(url)) as opened, opened.transaction() as connection:
        return str(connection.exec_driver_sql("SHOW server_version").scalar_one())


def test_a_new_folder_becomes_a_server_that_answers_until_it_is_stopped(stopped_home: pathlib.Path) -> None:
    url = embedded.start(stopped_home)
    assert answer(url).startswith("18")
    running = embedded.status(stopped_home)
    assert (running.running, running.url) == (True, url)
    assert embedded.start(stopped_home) == url
    assert embedded.stop(stopped_home)
    assert not embedded.stop(stopped_home)
    assert not embedded.status(stopped_home).running
    with pytest.raises(errors.DatabaseUnreachable):
        answer(url)


def test_what_is_kept_is_there_after_a_restart_at_the_same_address(initialised: pathlib.Path) -> None:
    url = embedded.start(initialised)
    with contextlib.closing(database.Database(url)) as opened, opened.transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS value")
    embedded.stop(initialised)
    assert embedded.start(initialised) == url
    with contextlib.closing(database.Database(url)) as opened, opened.transaction() as connection:
        assert connection.exec_driver_sql("SELECT value FROM kept").scalar_one() == 7


def test_the_server_outlives_the_process_that_started_it(initialised: pathlib.Path) -> None:
    start = f"print(embedded.start(pathlib.Path({str(initialised)!r})))"
    program = f"import pathlib; from storage.server import embedded; {start}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer(done.stdout.strip()).startswith("18")


def test_a_killed_server_comes_up_again_with_what_was_committed(initialised: pathlib.Path) -> None:
    url = embedded.start(initialised)
    with contextlib.closing(database.Database(url)) as opened, opened.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS committed; CREATE TABLE committed AS SELECT 3 AS value")
    pid = embedded.status(initialised).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = embedded.start(initialised)
    with contextlib.closing(database.Database(again)) as opened, opened.transaction() as connection:
        assert connection.exec_driver_sql("SELECT value FROM committed").scalar_one() == 3


def test_a_stale_process_number_that_is_another_process_now_does_not_keep_it_from_starting(
    initialised: pathlib.Path,
) -> None:
    embedded.stop(initialised)
    stale = initialised / "postgres" / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n0\n5432\n\n127.0.0.1\n0 0\nready\n")
    assert not embedded.status(initialised).running
    assert answer(embedded.start(initialised)).startswith("18")


def test_many_that_start_it_at_once_get_the_same_server(stopped_home: pathlib.Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        urls = pool.map(embedded.start, [stopped_home] * 3)
    assert len(set(urls)) == 1
    assert answer(urls[0]).startswith("18")


def test_others_are_kept_out_by_a_password_that_only_the_owner_reads(initialised: pathlib.Path) -> None:
    url = embedded.start(initialised)
    folder = initialised / "postgres"
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    password = (folder / "password").read_text()
    with pytest.raises(errors.DatabaseUnreachable, match="password authentication failed"):
        answer(url.replace(password, "guess"))


def test_a_port_that_is_taken_is_an_error_when_it_was_asked_for(initialised: pathlib.Path) -> None:
    embedded.stop(initialised)
    with socket.socket() as other:
        other.bind(("127.0.0.1", PORT))
        other.listen()
        with pytest.raises(errors.PortInUse, match=f"Port {PORT} of 127.0.0.1 is in use"):
            embedded.start(initialised, PORT)
    assert not embedded.status(initialised).running


def test_a_port_that_was_taken_meanwhile_is_replaced_when_none_was_asked_for(initialised: pathlib.Path) -> None:
    embedded.stop(initialised)
    (initialised / "postgres" / "port").write_text(f"{PORT}\n")
    with socket.socket() as other:
        other.bind(("127.0.0.1", PORT))
        other.listen()
        assert f":{PORT}/" not in embedded.start(initialised)
    assert embedded.status(initialised).running


def test_asking_for_another_port_than_the_running_servers_is_an_error(initialised: pathlib.Path) -> None:
    embedded.start(initialised)
    with pytest.raises(errors.PortInUse, match="already runs, on port"):
        embedded.start(initialised, PORT)


def test_a_data_folder_of_another_postgres_version_is_refused_and_left_alone(home: pathlib.Path) -> None:
    data = home / "postgres" / "data"
    (data / "global").mkdir(parents=True)
    (data / "global" / "pg_control").write_bytes(b"")
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(errors.WrongPostgresVersion, match=r"made by Postgres 16, but Tuneguard brings Postgres 18"):
        embedded.start(home)
    assert (data / "PG_VERSION").read_text() == "16\n"


@pytest.mark.parametrize(
    ("kept", "missing"), [("base", "PG_VERSION"), ("PG_VERSION", "global/pg_control")], ids=["none", "no-control-file"]
)
def test_a_half_made_data_folder_is_refused_and_left_alone(home: pathlib.Path, kept: str, missing: str) -> None:
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / kept).write_text("18\n")
    with pytest.raises(errors.BrokenDataFolder, match=f"no complete Postgres data folder .{missing} is missing"):
        embedded.start(home)
    assert [path.name for path in data.iterdir()] == [kept]


def test_a_start_that_was_killed_while_it_made_the_folder_is_begun_anew(stopped_home: pathlib.Path) -> None:
    (stopped_home / "postgres" / "initialising" / "data").mkdir(parents=True)
    (stopped_home / "postgres" / "initialising" / "data" / "PG_VERSION").write_text("18\n")
    assert answer(embedded.start(stopped_home)).startswith("18")
    assert not (stopped_home / "postgres" / "initialising").exists()


def test_a_lost_password_file_is_named(initialised: pathlib.Path) -> None:
    embedded.start(initialised)
    password = initialised / "postgres" / "password"
    kept = password.read_text()
    password.unlink()
    try:
        with pytest.raises(errors.EmbeddedError, match="password: cannot read the server's password"):
            embedded.start(initialised)
    finally:
        password.touch(mode=0o600)
        password.write_text(kept)


def test_a_home_that_cannot_be_made_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.EmbeddedError, match=r"file/home.*TUNEGUARD_HOME"):
        embedded.start(tmp_path / "file" / "home")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_home_of_somebody_else_is_named(tmp_path: pathlib.Path) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(errors.EmbeddedError, match=r"Permission denied.*TUNEGUARD_HOME"):
            embedded.start(tmp_path / "home")
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_named_and_nothing_half_made_stays(tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(errors.DiskFull, match=r"the disk is full\. Make room"):
            embedded.start(disk)
        assert not (disk / "postgres" / "data").exists()
        assert not (disk / "postgres" / "initialising").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others may not pass")
def test_a_home_below_a_closed_folder_works_and_the_folder_stays_closed(tmp_path: pathlib.Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    try:
        assert answer(embedded.start(closed / "home")).startswith("18")
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        pid = embedded.status(closed / "home").pid
        assert pathlib.Path(f"/proc/{pid}").stat().st_uid == server_user.account().pw_uid != 0
    finally:
        embedded.stop(closed / "home")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can become somebody else")
def test_an_ordinary_user_can_start_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    import storage

    root = pathlib.Path(storage.__path__[0]).parent
    program = (
        "import pathlib, tempfile; from storage.server import embedded\n"
        "with tempfile.TemporaryDirectory() as home:\n"
        "    print(embedded.start(pathlib.Path(home)), embedded.stop(pathlib.Path(home)))\n"
    )
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if "No module named" in done.stderr or done.returncode == 126:
        pytest.skip("an ordinary user cannot read this checkout")
    assert done.stdout.strip().endswith("True"), done.stderr


def test_a_server_that_is_being_killed_is_waited_for(initialised: pathlib.Path) -> None:
    embedded.start(initialised)
    pid = embedded.status(initialised).pid
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    assert answer(embedded.start(initialised)).startswith("18")
