import io
import os
import pathlib
import subprocess

import optuna
import pytest
from optuna import artifacts as optuna_artifacts

from storage import artifacts, errors, optuna_store
from storage import database as db


class Breaking(io.BytesIO):
    """A source that fails after its first block."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(10)


def test_an_uploaded_file_is_linked_to_its_trial_and_reads_back(database: db.Database, home: pathlib.Path) -> None:
    storage = optuna_store.open_storage(database)
    study = optuna.create_study(storage=storage, study_name="kitten")
    study.ask()
    (trial,) = study.trials
    picture = home / "picture.png"
    picture.write_bytes(b"pixels")
    store = artifacts.open_store(home)
    artifact_id = artifacts.upload(store, storage, trial, picture)
    with store.open_reader(artifact_id) as file:
        assert file.read() == b"pixels"
    (linked,) = optuna_artifacts.get_all_artifact_meta(trial, storage=storage)
    assert (linked.artifact_id, linked.filename, linked.mimetype) == (artifact_id, "picture.png", "image/png")
    store.remove(artifact_id)
    with pytest.raises(optuna_artifacts.exceptions.ArtifactNotFound):
        store.open_reader(artifact_id)


def test_a_file_that_could_not_be_written_whole_is_not_there_at_all(home: pathlib.Path) -> None:
    store = artifacts.open_store(home)
    with pytest.raises(errors.StorageError, match="cannot keep an artifact"):
        store.write("abc", Breaking(b"x" * 100))
    assert list((home / "artifacts").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(errors.DiskFull, match="the disk is full"):
            artifacts.open_store(disk).write("abc", io.BytesIO(b"x" * 200_000))
        assert list((disk / "artifacts").iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside"])
def test_nothing_outside_the_folder_is_read(home: pathlib.Path, name: str) -> None:
    with pytest.raises(ValueError, match="Invalid artifact_id"):
        artifacts.open_store(home).open_reader(name)
