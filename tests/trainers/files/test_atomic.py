import os
import pathlib
import stat
import subprocess
import sys

import pytest

from trainers.files import atomic

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def test_a_file_is_replaced_whole(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "file.bin"
    atomic.write(path, b"one")
    atomic.write(path, b"another")
    assert path.read_bytes() == b"another"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_no_temporary_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file.bin"
    atomic.write(path, b"one")

    def fail(temporary: pathlib.Path) -> None:
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        atomic.build(path, fail)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_limit_in_the_middle_of_a_write_leaves_nothing(tmp_path: pathlib.Path) -> None:
    program = (
        "import resource, pathlib, sys; from trainers.files import atomic; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
        "atomic.write(pathlib.Path(sys.argv[1]), bytes(100_000))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "file.bin")]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)
    assert b"File too large" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_content_and_name_are_on_the_disk_before_the_file_counts_as_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut would leave cannot be tried here; the order of the calls that decide it can."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content"
        done.append(kind)
        fsync(descriptor)

    def watched_replace(source: pathlib.Path, target: pathlib.Path) -> None:
        done.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    atomic.write(tmp_path / "file.bin", b"one")
    assert done == ["content", "name", "folder"]
