"""The layouts in which images and captions lie on disk, and what is wrong with how they lie. Torch-free.

Four layouts are read:

- a folder of images, each with a caption in a `.txt` file of the same name;
- kohya's: folders named `<repeats>_<name>` that hold such images;
- Hugging Face's: a folder of images with a `metadata.jsonl` of `{"file_name": ..., "text": ...}`;
- WebDataset's: a folder of `.tar` shards, in which `<key>.<image suffix>` and `<key>.txt` belong together.
"""

import collections
import dataclasses
import json
import pathlib
import re
import tarfile
from collections.abc import Iterator

from trainers.data import captions as captions_of
from trainers.data import image_files
from trainers.files import plain_files
from trainers.lora import sections

#: a metadata file is a line an image, a shard a part of a data set
MOST_METADATA_BYTES = 256 * 2**20
MOST_SHARD_BYTES = 2**40


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the bytes of an image lie: a file, or from byte `offset` on in a shard, where `member` names it."""

    path: pathlib.Path
    member: str = ""
    offset: int = 0
    length: int = -1

    def __str__(self) -> str:
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """The image's own name, without its folder."""
        return self.member or self.path.name

    def read(self) -> bytes:
        plain_files.check(self.path, MOST_SHARD_BYTES if self.member else image_files.MOST_BYTES)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


def images(root: pathlib.Path, problems: list[str]) -> Iterator[tuple[Place, str | None, int]]:
    """Each image of a data set, its caption in one line, and the repeats of its folder.

    What is wrong is added to `problems`; an image whose caption cannot be had comes with None.

    Raises:
        OSError: a folder cannot be read.
    """
    for folder, repeats in folders(root, problems):
        _unread(folder, problems)
        for place, caption in (*_files(folder, problems), *_shards(folder, problems)):
            yield place, caption, repeats


def folders(root: pathlib.Path, problems: list[str]) -> Iterator[tuple[pathlib.Path, int]]:
    """The folders that are read, and how often an epoch shows their images."""
    yield root, 1
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        match = re.match(r"(\d+)_", folder.name)
        if not match:
            continue
        if len(match[1]) > len(str(sections.MOST_REPEATS)) or int(match[1]) > sections.MOST_REPEATS:
            problems.append(f"{folder}: {match[1]} repeats; at most {sections.MOST_REPEATS:,}")
        elif int(match[1]) > 0:
            yield folder, int(match[1])


def other_folders(root: pathlib.Path) -> list[pathlib.Path]:
    """Folders that hold images and are not read."""
    read = {folder for folder, _ in folders(root, [])}
    below = [path for folder in sorted(read) for path in sorted(folder.iterdir()) if path.is_dir() and path not in read]
    return [path for path in below if not path.name.startswith(".") and any(map(is_image, path.iterdir()))]


def is_image(path: pathlib.Path) -> bool:
    """Whether a file is read as an image, by its name."""
    return path.suffix.lower() in image_files.SUFFIXES and not path.name.startswith(".")


def _unread(folder: pathlib.Path, problems: list[str]) -> None:
    """Pictures that would be left out, and pictures that would share one caption file."""
    by_stem = collections.defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in image_files.UNREAD_SUFFIXES and not path.name.startswith("."):
            kinds = ", ".join(image_files.SUFFIXES)
            problems.append(f"{path}: {path.suffix} files are not read; save it as {kinds}, or move it elsewhere")
        if is_image(path):
            by_stem[path.stem].append(path.name)
    if not (folder / "metadata.jsonl").is_file():
        problems += [
            f"{folder}: {' and '.join(names)} share the caption {stem}.txt; rename one of them"
            for stem, names in by_stem.items()
            if len(names) > 1
        ]


def _files(folder: pathlib.Path, problems: list[str]) -> Iterator[tuple[Place, str | None]]:
    captions = _metadata(folder, problems)
    for path in sorted(folder.iterdir()):
        if is_image(path):
            known = path.name in captions
            yield Place(path), captions[path.name] if known else _caption(path, bool(captions), problems)
    missing = [name for name in captions if not _is_there(folder / name)]
    problems += [f"{folder / 'metadata.jsonl'}: names {name}, which is not there" for name in missing]
    outside = [name for name in captions if pathlib.PurePath(name).name != name and _is_there(folder / name)]
    problems += [
        f"{folder / 'metadata.jsonl'}: names {name}, which lies in another folder; only images beside it are read"
        for name in outside
    ]


def _caption(path: pathlib.Path, from_metadata: bool, problems: list[str]) -> str | None:
    if from_metadata:
        problems.append(f"{path}: has no line in metadata.jsonl")
        return None
    file = path.with_suffix(".txt")
    try:
        return captions_of.read(file)
    except FileNotFoundError:
        other = next((each for each in _other_captions(path) if _is_there(each)), None)
        remedy = f"write it to {file.name} beside the image" if other is None else f"rename {other.name} to {file.name}"
        problems.append(f"{path}: caption missing; {remedy}")
    except OSError as error:
        problems.append(f"{file}: caption cannot be read: {plain_files.reason(error)}")
    return None


def _other_captions(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where other tools put captions."""
    yield from (path.with_suffix(suffix) for suffix in (".caption", ".TXT", ".tags"))
    yield from (path.with_name(path.name + suffix) for suffix in (".txt", ".caption"))


def _is_there(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have: too long, with a NUL
        return False


def _metadata(folder: pathlib.Path, problems: list[str]) -> dict[str, str]:
    path = folder / "metadata.jsonl"
    if not path.is_file():
        return {}
    try:
        text = plain_files.read_text(path, MOST_METADATA_BYTES)
    except OSError as error:
        problems.append(f"{path}: cannot be read: {plain_files.reason(error)}")
        return {}
    captions: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            name, caption = entry["file_name"], entry["text"]
            if not isinstance(name, str) or not isinstance(caption, str):
                raise TypeError("both are text")
        except (ValueError, KeyError, TypeError, RecursionError):
            problems.append(f'{path}:{number}: expected {{"file_name": ..., "text": ...}}')
            continue
        if name in captions:
            problems.append(f"{path}:{number}: names {name} a second time; take one of the two lines out")
        captions[name] = " ".join(caption.split())
    return captions


def _shards(folder: pathlib.Path, problems: list[str]) -> Iterator[tuple[Place, str | None]]:
    for path in sorted(folder.glob("*.tar")):
        try:
            plain_files.check(path, MOST_SHARD_BYTES)
            with tarfile.open(path, "r:") as shard:
                members = {member.name: member for member in shard if member.isfile()}
        except (OSError, tarfile.TarError) as error:
            said = plain_files.reason(error) if isinstance(error, OSError) else str(error)
            problems.append(f"{path}: shard cannot be read: {said}")
            continue
        keys: dict[str, str] = {}
        for name, member in members.items():
            key, suffix = _split(name)
            if suffix.lower() not in image_files.SUFFIXES:
                continue
            if key in keys:
                problems.append(f"{path}: {keys[key]} and {name} share the caption {key}.txt; rename one of them")
            keys[key] = name
            text = members.get(f"{key}.txt")
            if text is None:
                problems.append(f"{path}: {name}: caption missing; a sample needs {key}.txt too")
            caption = None if text is None else _words(path, text, problems)
            yield Place(path, name, member.offset_data, member.size), caption


def _split(name: str) -> tuple[str, str]:
    """WebDataset's split: a key ends at the first dot of the file name."""
    folder, slash, file = name.rpartition("/")
    key, dot, rest = file.partition(".")
    return f"{folder}{slash}{key}", f"{dot}{rest}"


def _words(path: pathlib.Path, text: tarfile.TarInfo, problems: list[str]) -> str | None:
    try:
        if text.size > captions_of.MOST_BYTES:
            raise ValueError(f"holds {text.size:,} bytes; at most {captions_of.MOST_BYTES:,} are read")
        content = Place(path, text.name, text.offset_data, text.size).read().decode("utf-8-sig")
        if "\0" in content:
            raise ValueError("holds a NUL byte; is it text?")
    except (OSError, ValueError) as error:  # UnicodeDecodeError is one
        problems.append(f"{path}: {text.name}: caption cannot be read: {error}")
        return None
    return " ".join(content.split())
