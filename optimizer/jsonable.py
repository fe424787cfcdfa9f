"""Frozen records as JSON and back, by the types that their fields declare."""

import datetime
import functools
import json
from typing import Annotated, Any, TypeVar

import pydantic

Record = TypeVar("Record")

#: a moment as Python writes it, with its offset: `2026-03-01T12:00:00+00:00`
Timestamp = Annotated[datetime.datetime, pydantic.PlainSerializer(datetime.datetime.isoformat)]


def of(record: Any, kind: Any = None) -> Any:
    """What JSON holds of a record, or of mappings and sequences of plain values; NaN and infinities become null.

    Args:
        record: its fields are told under their own names, unless their annotations (`pydantic.Field`) say otherwise.
        kind: the type of a mapping or a sequence of records, as `list[Attempt]`; without it their annotations are not
            seen.
    """
    declared: Any = kind or type(record)
    written = _adapter(declared).dump_json(record, by_alias=True, fallback=str, warnings=False)
    return json.loads(written)


def record(kind: type[Record], kept: Any) -> Record:
    """The record that `of` was made of.

    Raises:
        pydantic.ValidationError: it is none.
    """
    declared: Any = kind
    found: Record = _adapter(declared).validate_json(json.dumps(kept))
    return found


@functools.cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(kind)
