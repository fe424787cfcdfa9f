"""The training images and captions as they lie on disk; finds everything that is wrong with them. Torch-free.

Three layouts are read:

- a folder of images, each with a caption in a `.txt` file of the same name;
- kohya's: folders named `<repeats>_<name>` that hold such images;
- Hugging Face's: a folder of images with a `metadata.jsonl` of `{"file_name": ..., "text": ...}`;
- WebDataset's: a folder of `.tar` shards, in which `<key>.<image suffix>` and `<key>.txt` belong together.
"""

import dataclasses
import functools
import hashlib
import io
import json
import pathlib
import re
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainers import errors, job

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the bytes of an image lie: a file, or from byte `offset` on in a shard, where `member` names it."""

    path: pathlib.Path
    member: str = ""
    offset: int = 0
    length: int = -1

    def __str__(self) -> str:
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclasses.dataclass(frozen=True)
class Picture:
    """One training image. `repeats` counts how often an epoch shows it; `sha256` is that of the file's bytes."""

    place: Place
    caption: str
    repeats: int
    sha256: str
    width: int
    height: int

    def image(self) -> "Image.Image":
        """The picture itself: RGB, turned upright."""
        return _upright(self.place.read())


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
        for place, caption in (*_files(folder, problems), *_shards(folder, problems)):
            size_and_hash = _read_image(place, problems)
            if caption is not None and size_and_hash is not None:
                width, height, sha256 = size_and_hash
                yield Picture(place, caption, repeats * folder_repeats, sha256, width, height)


def _is_image(path: pathlib.Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _files(folder: pathlib.Path, problems: list[str]) -> Iterator[tuple[Place, str | None]]:
    captions = _metadata(folder, problems)
    for path in sorted(folder.iterdir()):
        if _is_image(path):
            known = path.name in captions
            yield Place(path), captions[path.name] if known else _caption(path, bool(captions), problems)
    missing = [name for name in captions if not (folder / name).is_file()]
    problems += [f"{folder / 'metadata.jsonl'}: names {name}, which is not there" for name in missing]


def _shards(folder: pathlib.Path, problems: list[str]) -> Iterator[tuple[Place, str | None]]:
    for path in sorted(folder.glob("*.tar")):
        try:
            with tarfile.open(path, "r:") as shard:
                members = {member.name: member for member in shard if member.isfile()}
        except (OSError, tarfile.TarError) as error:
            problems.append(f"{path}: shard cannot be read: {error}")
            continue
        for name, member in members.items():
            key, suffix = _split(name)
            if suffix.lower() not in IMAGE_SUFFIXES:
                continue
            text = members.get(f"{key}.txt")
            if text is None:
                problems.append(f"{path}: {name}: caption missing; a sample needs {key}.txt too")
            yield Place(path, name, member.offset_data, member.size), None if text is None else _words(path, text)


def _split(name: str) -> tuple[str, str]:
    """WebDataset's split: a key ends at the first dot of the file name."""
    folder, slash, file = name.rpartition("/")
    key, dot, rest = file.partition(".")
    return f"{folder}{slash}{key}", f"{dot}{rest}"


def _words(path: pathlib.Path, text: tarfile.TarInfo) -> str:
    content = Place(path, text.name, text.offset_data, text.size).read()
    return " ".join(content.decode("utf-8", errors="replace").split())


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


def _read_image(place: Place, problems: list[str]) -> tuple[int, int, str] | None:
    try:
        return _decode(place, place.path.stat().st_mtime_ns)
    except Exception as error:  # whatever Pillow's decoders raise: OSError, SyntaxError, ValueError, struct.error
        problems.append(f"{place}: image cannot be read: {error}")
        return None


@functools.lru_cache(maxsize=100_000)
def _decode(place: Place, modified_ns: int) -> tuple[int, int, str]:
    """Width, height and hash of an image that was decoded to its last pixel; once per process and file version."""
    content = place.read()
    return *_upright(content).size, hashlib.sha256(content).hexdigest()


def _upright(content: bytes) -> "Image.Image":
    from PIL import Image, ImageOps  # noqa: PLC0415  (importing the module must stay quick)

    with Image.open(io.BytesIO(content)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")
