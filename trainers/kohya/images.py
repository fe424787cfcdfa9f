"""A data set as kohya's sd-scripts reads it: folders of images, each with a text file beside it. Torch-free.

sd-scripts takes the first line of a text file for the caption and stops at an empty file; it knows neither
metadata.jsonl nor shards, does not turn pictures by their EXIF data, and drops what an image holds beside RGB in a way
of its own. Where that would train something else than our own trainer does, the data set is written out anew.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Sequence

from trainers.data import dataset

#: suffixes of images that it looks for, in one case or the other
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_LOOKED_FOR = frozenset({*_SUFFIXES, *map(str.upper, _SUFFIXES)})
#: what more it may look for, as far as its environment can open it
_PERHAPS = frozenset({".avif", ".AVIF", ".jxl", ".JXL"})
#: what Hugging Face's layout keeps captions in
METADATA = "metadata.jsonl"
#: EXIF's tag of the side that is up
_ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder of images and how often an epoch shows each of them."""

    path: pathlib.Path
    repeats: int


def as_they_lie(pictures: Sequence[dataset.TrainingImage]) -> list[Folder]:
    """The folders in which the images lie."""
    return [Folder(*key) for key in dict.fromkeys((picture.place.path.parent, picture.repeats) for picture in pictures)]


def differences(pictures: Sequence[dataset.TrainingImage]) -> list[str]:
    """Why sd-scripts would train something else from the files as they lie, a line a reason; empty if it would not."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    for picture in pictures:
        for reason in _picture_differences(picture):
            found[reason].append(str(picture.place))
    for folder in {picture.place.path.parent for picture in pictures}:
        for reason, name in _folder_differences(folder, pictures):
            found[reason].append(name)
    return [f"{reason} ({places[0]}{_more(places)})" for reason, places in found.items()]


def write(pictures: Sequence[dataset.TrainingImage], target: pathlib.Path, *, link: bool) -> list[Folder]:
    """Write a data set out as sd-scripts reads it, whole or not at all; one that is there already is taken as it is.

    A metadata.jsonl beside the folders says the same to who reads Hugging Face's layout.

    Args:
        target: the folder to write.
        link: whether an image that can stay as it is becomes a link rather than a copy.

    Raises:
        OSError: the disk is full or failed.
    """
    folders = written(pictures, target)
    if target.is_dir():
        return folders
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        for folder in folders:
            (draft / folder.path.name).mkdir(parents=True)
        with (draft / METADATA).open("w", encoding="utf-8") as metadata:
            for number, picture in enumerate(pictures):
                image = _write(picture, draft / f"{picture.repeats}_images" / f"{number:06d}", link=link)
                line = {"file_name": image.relative_to(draft).as_posix(), "text": picture.caption}
                metadata.write(json.dumps(line, ensure_ascii=False) + "\n")
        draft.rename(target)
    except OSError:
        if not target.is_dir():  # else another process has written the same meanwhile
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folders


def written(pictures: Sequence[dataset.TrainingImage], target: pathlib.Path) -> list[Folder]:
    """The folders that `write` makes in `target`."""
    return [Folder(target / f"{repeats}_images", repeats) for repeats in sorted({p.repeats for p in pictures})]


def key(pictures: Sequence[dataset.TrainingImage]) -> str:
    """Names what `write` makes with links: the same images at the same places, with the same captions and repeats."""
    content = [[str(p.place), p.sha256, p.caption, p.repeats] for p in pictures]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _more(places: Sequence[str]) -> str:
    return f" and {len(places) - 1} more" if len(places) > 1 else ""


def _picture_differences(picture: dataset.TrainingImage) -> Iterator[str]:
    path = picture.place.path
    if picture.place.member:
        yield "it reads no shards"
        return
    if path.suffix not in _LOOKED_FOR:
        yield f"it does not look for images named *{path.suffix}"
    text = path.with_suffix(".txt")
    if not text.is_file():
        yield "it reads captions from text files alone"
    elif not _is_read_as(text, picture.caption):
        yield "it reads the first line of a caption alone, and stops at an empty file"
    if not _stays(picture):
        yield "it does not turn images by their EXIF data, nor lay them on a background"


def _is_read_as(text: pathlib.Path, caption: str) -> bool:
    lines = text.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return bool(lines) and _one_line(lines[0]) == _one_line(caption)


def _one_line(text: str) -> str:
    """A caption without line breaks; tokenizers know no difference between one space and several."""
    return " ".join(text.split())


def _stays(picture: dataset.TrainingImage) -> bool:
    """Whether the file's own pixels are those that are trained: upright, and RGB or grey in 8 bits."""
    from PIL import Image  # noqa: PLC0415  (importing the module must stay quick)

    with Image.open(picture.place.path) as image:
        is_plain = image.mode in ("RGB", "L") and "transparency" not in image.info
        return is_plain and image.getexif().get(_ORIENTATION, 1) == 1


def _folder_differences(folder: pathlib.Path, pictures: Sequence[dataset.TrainingImage]) -> Iterator[tuple[str, str]]:
    ours = {picture.place.path.name for picture in pictures if picture.place.path.parent == folder}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz":
            yield "it takes sizes of images from caches that lie beside them", str(path)
        elif path.suffix in _LOOKED_FOR | _PERHAPS and not path.name.startswith(".") and path.name not in ours:
            yield "it would train images that are not in the data set", str(path)


def _write(picture: dataset.TrainingImage, stem: pathlib.Path, *, link: bool) -> pathlib.Path:
    place = picture.place
    if place.member or place.path.suffix.lower() not in _SUFFIXES or not _stays(picture):
        image = stem.with_suffix(".png")
        picture.image().save(image)
    else:
        image = stem.with_suffix(place.path.suffix.lower())
        if link:
            image.symlink_to(place.path.resolve())
        else:
            shutil.copyfile(place.path, image)
    stem.with_suffix(".txt").write_text(f"{_one_line(picture.caption)}\n", encoding="utf-8")
    return image
