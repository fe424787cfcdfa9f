"""The training images and captions as they lie on disk; finds everything that is wrong with them. Torch-free.

Three layouts are read:

- a folder of images, each with a caption in a `.txt` file of the same name;
- kohya's: folders named `<repeats>_<name>` that hold such images;
- Hugging Face's: a folder of images with a `metadata.jsonl` of `{"file_name": ..., "text": ...}`;
- WebDataset's: a folder of `.tar` shards, in which `<key>.<image suffix>` and `<key>.txt` belong together.

What trains, but not as a person may think, is a note: transparent parts, animations, captions that are cut off, images
that are there twice, files that nobody reads.
"""

import collections
import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from trainers.contract import errors, job
from trainers.data import captions as captions_of
from trainers.data import image_files
from trainers.files import plain_files

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = image_files.SUFFIXES
#: a metadata file is a line an image, a shard a part of a data set
MOST_METADATA_BYTES = 256 * 2**20
MOST_SHARD_BYTES = 2**40
#: names of one note that are written out
_NAMED = 3


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
        """The picture itself: RGB, turned upright, transparent parts white."""
        return image_files.upright(self.place.read())


@dataclasses.dataclass(frozen=True)
class DatasetFacts:
    """What is known about a data set before training.

    `images` and `captions` count files and different texts, `samples_per_epoch` counts with repeats. `hash` changes
    with any image, caption or repeat count, and not with file names. `notes` are for people.
    """

    images: int
    captions: int
    samples_per_epoch: int
    hash: str
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()


def inspect(dataset: job.Dataset) -> DatasetFacts:
    """Read every image and caption of a data set.

    Raises:
        errors.DatasetError: the folder is missing or empty, or images or captions are unreadable; each one is named.
    """
    root = pathlib.Path(dataset.path)
    if not root.is_dir():
        raise errors.DatasetError(_no_folder(root))
    problems: list[str] = []
    remarks: list[tuple[str, str]] = []
    try:
        pictures = tuple(_pictures(root, dataset.repeats, problems, remarks))
    except OSError as error:
        raise errors.DatasetError(f"{error.filename or root}: cannot be read: {plain_files.reason(error)}") from error
    if problems:
        raise errors.DatasetError("\n".join(problems))
    if not pictures:
        raise errors.DatasetError(f"{root}: holds no images ({', '.join(IMAGE_SUFFIXES)}){_elsewhere(root)}")
    content = sorted(f"{picture.sha256} {picture.repeats} {picture.caption}" for picture in pictures)
    return DatasetFacts(
        images=len(pictures),
        captions=len({picture.caption for picture in pictures}),
        samples_per_epoch=sum(picture.repeats for picture in pictures),
        hash=hashlib.sha256(json.dumps([content, dataset.flip]).encode()).hexdigest(),
        pictures=pictures,
        notes=(*_grouped(remarks), *_of_captions(pictures), *_twice(pictures), *_left_alone(root)),
    )


def _no_folder(root: pathlib.Path) -> str:
    what = "is a file" if root.is_file() else "no such folder"
    beside = root.with_name(root.name.strip())
    hint = f"; did you mean {beside}?" if beside != root and beside.is_dir() else ""
    return f"{root}: {what}; `dataset` names a folder of images and captions{hint}"


def _pictures(
    root: pathlib.Path, repeats: int, problems: list[str], remarks: list[tuple[str, str]]
) -> Iterator[Picture]:
    for folder, folder_repeats in _folders(root, problems):
        _unread(folder, problems)
        for place, caption in (*_files(folder, problems), *_shards(folder, problems)):
            seen = _read_image(place, problems)
            if caption is not None and seen is not None:
                remarks += [(remark, place.name) for remark in seen.remarks]
                yield Picture(place, caption, repeats * folder_repeats, seen.sha256, seen.width, seen.height)


def _is_image(path: pathlib.Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _unread(folder: pathlib.Path, problems: list[str]) -> None:
    """Pictures that would be left out, and pictures that would share one caption file."""
    by_stem = collections.defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in image_files.UNREAD_SUFFIXES and not path.name.startswith("."):
            kinds = ", ".join(IMAGE_SUFFIXES)
            problems.append(f"{path}: {path.suffix} files are not read; save it as {kinds}, or move it elsewhere")
        if _is_image(path):
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
        if _is_image(path):
            known = path.name in captions
            yield Place(path), captions[path.name] if known else _caption(path, bool(captions), problems)
    missing = [name for name in captions if not _is_there(folder / name)]
    problems += [f"{folder / 'metadata.jsonl'}: names {name}, which is not there" for name in missing]
    outside = [name for name in captions if pathlib.PurePath(name).name != name and _is_there(folder / name)]
    problems += [
        f"{folder / 'metadata.jsonl'}: names {name}, which lies in another folder; only images beside it are read"
        for name in outside
    ]


def _is_there(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have: too long, with a NUL
        return False


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
            if suffix.lower() not in IMAGE_SUFFIXES:
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


def _folders(root: pathlib.Path, problems: list[str]) -> Iterator[tuple[pathlib.Path, int]]:
    yield root, 1
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        match = re.match(r"(\d+)_", folder.name)
        if not match:
            continue
        if len(match[1]) > len(str(job.MOST_REPEATS)) or int(match[1]) > job.MOST_REPEATS:
            problems.append(f"{folder}: {match[1]} repeats; at most {job.MOST_REPEATS:,}")
        elif int(match[1]) > 0:
            yield folder, int(match[1])


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


def _read_image(place: Place, problems: list[str]) -> image_files.Seen | None:
    try:
        return _decode(place, place.path.stat().st_mtime_ns)
    except OSError as error:
        problems.append(f"{place}: image cannot be read: {plain_files.reason(error)}")
    except MemoryError:
        problems.append(f"{place}: image cannot be read: it does not fit into memory; make it smaller")
    except Exception as error:  # whatever Pillow's decoders raise: SyntaxError, ValueError, struct.error
        problems.append(f"{place}: image cannot be read: {error}")
    return None


@functools.lru_cache(maxsize=100_000)
def _decode(place: Place, modified_ns: int) -> image_files.Seen:
    """An image that was decoded to its last pixel; once per process and file version."""
    return image_files.inspect(place.read())


def _grouped(remarks: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One note a remark, with the first images that it is about."""
    names = collections.defaultdict(list)
    for remark, name in remarks:
        names[remark].append(name)
    for remark, about in names.items():
        yield f"{_count(len(about), 'image')} {remark} ({_some(about)})"


def _of_captions(pictures: Iterable[Picture]) -> Iterator[str]:
    pictures = list(pictures)
    empty = [picture.place.name for picture in pictures if not picture.caption]
    if empty:
        yield f"{_count(len(empty), 'caption')} empty ({_some(empty)}): such images are learned without any word"
    cut = [picture.place.name for picture in pictures if captions_of.is_cut(picture.caption)]
    if cut:
        yield (
            f"{_count(len(cut), 'caption')} longer than the {captions_of.MOST_TOKENS} tokens that are read: cut off "
            f"({_some(cut)})"
        )


def _twice(pictures: Iterable[Picture]) -> Iterator[str]:
    """Images whose bytes are the same: each is shown as often as it is there."""
    by_hash = collections.defaultdict(list)
    for picture in pictures:
        by_hash[picture.sha256].append(picture.place.name)
    same = [names for names in by_hash.values() if len(names) > 1]
    if same:
        shown = "; ".join(" = ".join(names[:_NAMED]) for names in same[:_NAMED])
        yield f"{_count(len(same), 'image')} there more than once ({shown}): each copy is trained on"


def _left_alone(root: pathlib.Path) -> Iterator[str]:
    """Folders with images, and captions without an image, that nobody reads."""
    beside = [folder.name for folder in _other_folders(root)]
    if beside:
        yield f"images in {_some(beside)} are not read: folders of images are named <repeats>_<name>, such as 10_cat"
    for folder, _ in _folders(root, []):
        stems = {path.stem for path in folder.iterdir() if _is_image(path)}
        lonely = [path.name for path in sorted(folder.glob("*.txt")) if path.stem not in stems]
        if lonely and stems:
            yield f"{_count(len(lonely), 'text file')} without an image of that name ({_some(lonely)})"


def _other_folders(root: pathlib.Path) -> list[pathlib.Path]:
    """Folders that hold images and are not read."""
    read = {folder for folder, _ in _folders(root, [])}
    below = [path for folder in sorted(read) for path in sorted(folder.iterdir()) if path.is_dir() and path not in read]
    return [path for path in below if not path.name.startswith(".") and any(map(_is_image, path.iterdir()))]


def _elsewhere(root: pathlib.Path) -> str:
    beside = [folder.name for folder in _other_folders(root)]
    return f"; those in {_some(beside)} are not read: name that folder, or call it 1_{beside[0]}" if beside else ""


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number} {what}s are"


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
