"""Hashes of model files, so that results can be kept under what they were made with. Torch-free."""

import hashlib
import json
import pathlib

from trainers.files import atomic

_WEIGHTS = (".safetensors", ".bin", ".ckpt", ".pt", ".json", ".txt", ".model")


def of_file(path: pathlib.Path, cache: pathlib.Path) -> str:
    """sha256 of a file. Read once per version (size and time of change) and remembered in `cache`."""
    path = path.resolve()
    stamp = path.stat()
    version = json.dumps([str(path), stamp.st_size, stamp.st_mtime_ns, stamp.st_ino])
    remembered = cache / "digests" / hashlib.sha256(version.encode()).hexdigest()
    if remembered.is_file():
        return remembered.read_text(encoding="ascii")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    atomic.write(remembered, digest.encode())
    return digest


def of_model(path: pathlib.Path, cache: pathlib.Path) -> str:
    """sha256 over a model: one file, or all weights and configurations of a folder with their names."""
    if path.is_file():
        return of_file(path, cache)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix in _WEIGHTS)
    lines = [f"{file.relative_to(path).as_posix()} {of_file(file, cache)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
