"""Records as JSON, and back."""

import dataclasses
import datetime
import enum
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pydantic
import pytest

from optimizer import jsonable


class Colour(enum.StrEnum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Inner:
    number: float
    hidden: Annotated[str, pydantic.Field(exclude=True)] = "not told"

    @pydantic.computed_field
    @property
    def double(self) -> float:
        return 2 * self.number


@dataclasses.dataclass(frozen=True)
class Outer:
    label: Annotated[str, pydantic.Field(serialization_alias="name")]
    inner: Sequence[Inner]
    curve: Mapping[int, float]
    told: Mapping[str, Any]
    colour: Colour
    path: pathlib.Path
    at: jsonable.Timestamp


def test_a_record_is_told_as_its_fields_are_declared() -> None:
    at = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    told = {"rate": 1e-5, "gone": math.nan, "far": math.inf, "word": "Ähre", "pair": (1, 2), "path": pathlib.Path("b")}
    outer = Outer("one", (Inner(1.5),), {4: 0.5}, told, Colour.RED, pathlib.Path("a"), at)
    assert jsonable.of(outer) == {
        "name": "one",
        "inner": [{"number": 1.5, "double": 3.0}],
        "curve": {"4": 0.5},
        "told": {"rate": 1e-5, "gone": None, "far": None, "word": "Ähre", "pair": [1, 2], "path": "b"},
        "colour": "red",
        "path": "a",
        "at": "2026-03-01T12:00:00+00:00",
    }


def test_records_in_a_mapping_or_a_sequence_are_told_by_its_kind() -> None:
    assert jsonable.of([Inner(1.0)], list[Inner]) == [{"number": 1.0, "double": 2.0}]
    assert jsonable.of({"a": Inner(1.0)}, dict[str, Inner]) == {"a": {"number": 1.0, "double": 2.0}}


@dataclasses.dataclass(frozen=True)
class Kept:
    pairs: tuple[tuple[int, int], ...]
    left: Mapping[str, int]


def test_what_is_kept_of_a_record_is_read_back_as_it_was_and_checked() -> None:
    kept = Kept(((1, 2), (3, 4)), {"a": 1})
    assert jsonable.record(Kept, jsonable.of(kept)) == kept
    with pytest.raises(pydantic.ValidationError, match="left"):
        jsonable.record(Kept, {"pairs": []})
