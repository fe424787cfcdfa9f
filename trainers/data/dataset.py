"""A data set: its images and captions, what is known of them, and everything that is wrong with them. Torch-free.

What trains, but not as a person may think, is a note: transparent parts, animations, captions that are cut off, images
that are there twice, files that nobody reads.
"""

import collections
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from trainers.contract import errors
from trainers.data import captions as captions_of
from trainers.data import image_files, layouts, showings
from trainers.files import plain_files
from trainers.lora import sections

if TYPE_CHECKING:
    from PIL import Image

#: names of one note that are written out
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class TrainingImage:
    """One training image. `repeats` counts how often an epoch shows it; `sha256` is that of the file's bytes."""

    place: layouts.Place
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
    pictures: tuple[TrainingImage, ...]
    notes: tuple[str, ...] = ()

    @property
    def showings(self) -> showings.Showings:
        """What an epoch shows."""
        return showings.of(self.pictures)


def inspect(dataset: sections.Dataset) -> DatasetFacts:
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
        raise errors.DatasetError(f"{root}: holds no images ({', '.join(image_files.SUFFIXES)}){_elsewhere(root)}")
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
) -> Iterator[TrainingImage]:
    for place, caption, folder_repeats in layouts.images(root, problems):
        seen = _read_image(place, problems)
        if caption is not None and seen is not None:
            remarks += [(remark, place.name) for remark in seen.remarks]
            yield TrainingImage(place, caption, repeats * folder_repeats, seen.sha256, seen.width, seen.height)


def _read_image(place: layouts.Place, problems: list[str]) -> image_files.Seen | None:
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
def _decode(place: layouts.Place, modified_ns: int) -> image_files.Seen:
    """An image that was decoded to its last pixel; once per process and file version."""
    return image_files.inspect(place.read())


def _grouped(remarks: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One note a remark, with the first images that it is about."""
    names = collections.defaultdict(list)
    for remark, name in remarks:
        names[remark].append(name)
    for remark, about in names.items():
        yield f"{_count(len(about), 'image')} {remark} ({_some(about)})"


def _of_captions(pictures: Iterable[TrainingImage]) -> Iterator[str]:
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


def _twice(pictures: Iterable[TrainingImage]) -> Iterator[str]:
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
    beside = [folder.name for folder in layouts.other_folders(root)]
    if beside:
        yield f"images in {_some(beside)} are not read: folders of images are named <repeats>_<name>, such as 10_cat"
    for folder, _ in layouts.folders(root, []):
        stems = {path.stem for path in folder.iterdir() if layouts.is_image(path)}
        lonely = [path.name for path in sorted(folder.glob("*.txt")) if path.stem not in stems]
        if lonely and stems:
            yield f"{_count(len(lonely), 'text file')} without an image of that name ({_some(lonely)})"


def _elsewhere(root: pathlib.Path) -> str:
    beside = [folder.name for folder in layouts.other_folders(root)]
    return f"; those in {_some(beside)} are not read: name that folder, or call it 1_{beside[0]}" if beside else ""


def _count(number: int, what: str) -> str:
    return f"1 {what} is" if number == 1 else f"{number} {what}s are"


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
