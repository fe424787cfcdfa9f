"""The training images and captions as they lie on disk; finds everything that is wrong with them. Torch-free.

Three layouts are read:

- a folder of images, each with a caption in a `.txt` file of the same name;
- kohya's: folders named `<repeats>_<name>` that hold such images;
- Hugging Face's: a folder of images with a `metadata.jsonl` of `{"file_name": ..., "text": ...}`.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator

from trainers import errors, job

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclasses.dataclass(frozen=True)
class Picture:
    """One training image. `repeats` counts how often an epoch shows it; `sha256` is that of the file's bytes."""

    path: pathlib.Path
    caption: str
    repeats: int
    sha256: str
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class DatasetFacts:
    """What is known about a data set before training.

    `images` and `captions` count files and different texts, `samples_per_epoch` counts with repeats. `hash` changes
    with any image, caption or repeat count, and not with file names.
    """

    images: int
    captions: int
    samples_per_epoch: int
    hash: str
    pictures: tuple[Picture, ...]


def inspect(dataset: job.Dataset) -> DatasetFacts:
    """Read every image and caption of a data set.

    Raises:
        errors.DatasetError: the folder is missing or empty, or images or captions are unreadable; each one is named.
    """
    root = pathlib.Path(dataset.path)
    if not root.is_dir():
        raise errors.DatasetError(f"{root}: no such folder; `dataset` names a folder of images and captions")
    problems: list[str] = []
    pictures = tuple(_pictures(root, dataset.repeats, problems))
    if problems:
        raise errors.DatasetError("\n".join(problems))
    if not pictures:
        raise errors.DatasetError(f"{root}: holds no images ({', '.join(IMAGE_SUFFIXES)})")
    content = sorted(f"{picture.sha256} {picture.repeats} {picture.caption}" for picture in pictures)
    return DatasetFacts(
        images=len(pictures),
        captions=len({picture.caption for picture in pictures}),
        samples_per_epoch=sum(picture.repeats for picture in pictures),
        hash=hashlib.sha256(json.dumps([content, dataset.flip]).encode()).hexdigest(),
        pictures=pictures,
    )


def _pictures(root: pathlib.Path, repeats: int, problems: list[str]) -> Iterator[Picture]:
    for folder, folder_repeats in _folders(root):
        captions = _metadata(folder, problems)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
                continue
            caption = captions[path.name] if path.name in captions else _caption(path, bool(captions), problems)
            size_and_hash = _read_image(path, problems)
            if caption is not None and size_and_hash is not None:
                width, height, sha256 = size_and_hash
                yield Picture(path, caption, repeats * folder_repeats, sha256, width, height)
        missing = [name for name in captions if not (folder / name).is_file()]
        problems += [f"{folder / 'metadata.jsonl'}: names {name}, which is not there" for name in missing]


def _folders(root: pathlib.Path) -> Iterator[tuple[pathlib.Path, int]]:
    yield root, 1
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        match = re.match(r"(\d+)_", folder.name)
        if match and int(match[1]) > 0:
            yield folder, int(match[1])


def _metadata(folder: pathlib.Path, problems: list[str]) -> dict[str, str]:
    path = folder / "metadata.jsonl"
    if not path.is_file():
        return {}
    captions = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            captions[str(entry["file_name"])] = str(entry["text"]).strip()
        except (ValueError, KeyError, TypeError):
            problems.append(f'{path}:{number}: expected {{"file_name": ..., "text": ...}}')
    return captions


def _caption(path: pathlib.Path, from_metadata: bool, problems: list[str]) -> str | None:
    if from_metadata:
        problems.append(f"{path}: has no line in metadata.jsonl")
        return None
    file = path.with_suffix(".txt")
    try:
        return " ".join(file.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        problems.append(f"{path}: caption missing; write it to {file.name} beside the image")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file}: caption cannot be read: {error}")
    return None


def _read_image(path: pathlib.Path, problems: list[str]) -> tuple[int, int, str] | None:
    try:
        stamp = path.stat()
        return _decode(path, stamp.st_size, stamp.st_mtime_ns)
    except (
        Exception
    ) as error:  # Pillow raises whatever its decoders raise (OSError, SyntaxError, ValueError, struct.error)
        problems.append(f"{path}: image cannot be read: {error}")
        return None


@functools.lru_cache(maxsize=100_000)
def _decode(path: pathlib.Path, size_bytes: int, modified_ns: int) -> tuple[int, int, str]:
    """Width, height and hash of an image that was decoded to its last pixel; once per process and file version."""
    from PIL import Image, ImageOps  # noqa: PLC0415  (importing the module must stay quick)

    with Image.open(path) as image:
        width, height = ImageOps.exif_transpose(image).convert("RGB").size
    return width, height, hashlib.sha256(path.read_bytes()).hexdigest()
