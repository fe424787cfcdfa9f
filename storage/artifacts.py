"""Pictures, reports and logs of trials: files in a folder, linked to Optuna's trials, shown by optuna-dashboard.

Upload before a trial is told: afterwards Optuna takes nothing more.
"""

import errno
import os
import pathlib
import tempfile
from typing import BinaryIO

import optuna
from optuna import artifacts

from storage import errors


class ArtifactStore:
    """Optuna's artifact store in a folder; a file is there whole or not at all, also when the machine stops."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._reading = artifacts.FileSystemArtifactStore(folder)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        return self._reading.open_reader(artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Raises errors.DiskFull or errors.StorageError; nothing half-written is left behind."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".writing-") as work:
                self._move_in(artifact_id, content_body, pathlib.Path(work) / "artifact")
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise errors.DiskFull(f"{self._folder}: the disk is full. Make room there.") from error
            raise errors.StorageError(f"{self._folder}: cannot keep an artifact: {error.strerror}.") from error

    def remove(self, artifact_id: str) -> None:
        self._reading.remove(artifact_id)

    def _move_in(self, artifact_id: str, content: BinaryIO, temporary: pathlib.Path) -> None:
        with temporary.open("wb") as file:
            while block := content.read(1 << 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._folder / pathlib.Path(artifact_id).name)


def open_store(home: pathlib.Path) -> ArtifactStore:
    """The artifacts of `home`, in its folder `artifacts`."""
    return ArtifactStore(home / "artifacts")


def upload(
    store: ArtifactStore, storage: optuna.storages.BaseStorage, trial: optuna.trial.FrozenTrial, path: pathlib.Path
) -> str:
    """Copy a file into the store and link it to a running trial; returns the artifact's id.

    A file of the same name that is linked already, by a telling that did not come to its end, is replaced.
    """
    linked = {meta.filename: meta.artifact_id for meta in artifacts.get_all_artifact_meta(trial, storage=storage)}
    if path.name in linked:
        with path.open("rb") as file:
            store.write(linked[path.name], file)
        return linked[path.name]
    return artifacts.upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=trial, storage=storage)
