"""Pictures as trainers tell of them, read back from what is kept of a trial or of the untrained base."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from optimizer import jsonable

Record = TypeVar("Record")


@dataclasses.dataclass(frozen=True)
class PictureRecord:
    """A picture that was drawn (docs/reference/events.md, `scored.images`).

    `path` is where the trainer wrote it, `artifact` the id under which every worker finds it.
    """

    path: str
    prompt: str
    seed: int
    held_out: bool = False
    clip_score: float | None = None
    failure: str | None = None
    artifact: str | None = None


@dataclasses.dataclass(frozen=True)
class Untrained:
    """What the base does without any LoRA."""

    metrics: Mapping[str, Any]
    images: Sequence[Mapping[str, Any]]


def drawn(images: Sequence[Mapping[str, Any]]) -> list[PictureRecord]:
    """The pictures of a trial; one that a trainer of a person's own tells nothing of but its path is left out."""
    return [found for image in images if (found := _read(PictureRecord, image)) is not None]


def untrained(kept: Mapping[str, Any] | None) -> Untrained | None:
    """What is kept of the untrained base, where anything is."""
    return None if kept is None else _read(Untrained, kept)


def _read(kind: type[Record], kept: Mapping[str, Any]) -> Record | None:
    try:
        return jsonable.record(kind, kept)
    except pydantic.ValidationError:
        return None
