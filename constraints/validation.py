"""pydantic's complaints as problems of a document: each with its line, its column and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from constraints.document import Document, did_you_mean
from constraints.errors import Problem
from constraints.yaml_data import Location, looks_like_number


def problems_of(
    document: Document, error: Any, known_keys: Mapping[Location, Iterable[str]] | None = None
) -> list[Problem]:
    """Every problem of a pydantic `ValidationError`, with its place in the document.

    Args:
        document: the document whose data was validated.
        error: the `pydantic.ValidationError` (typed as Any so that this module need not import pydantic).
        known_keys: for the suggestion at an unknown key: known keys by location, `*` standing for any one step,
            for example `{(): ["name"], ("rules", "*"): ["id", "refuse"]}`.
    """
    return [_problem_of(document, found, known_keys or {}) for found in error.errors(include_url=False)]


def _problem_of(document: Document, found: Mapping[str, Any], known_keys: Mapping[Location, Iterable[str]]) -> Problem:
    loc = _location_in(document.data, found["loc"])
    given = found.get("input")
    kind = str(found["type"])
    if kind == "extra_forbidden":
        hint = did_you_mean(str(loc[-1]), _known_at(known_keys, loc[:-1]))
        return document.problem(loc, f"unknown key '{loc[-1]}'", hint, key=True)
    if kind == "missing":
        return document.problem(loc[:-1], f"'{found['loc'][-1]}' is missing", key=True)
    if isinstance(given, str) and looks_like_number(given) and kind.startswith(("float", "int")):
        return document.problem(loc, f"'{given}' is text", f"write {_as_number(given)} without quotes")
    message = _sentence(kind, str(found["msg"]))
    shown = f", not {_shown(given)}" if kind != "value_error" and not isinstance(given, dict | list) else ""
    return document.problem(loc, message + shown)


_SENTENCES = {
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
}


def _sentence(kind: str, message: str) -> str:
    """pydantic's message in this project's words: lower case, without its prefixes."""
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    if kind in ("literal_error", "enum") or kind.startswith(("greater_than", "less_than", "finite")):
        return f"must be {message}"
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _as_number(text: str) -> str:
    """The number as this project writes it: `1e-4` becomes `1.0e-4`."""
    mantissa, letter, exponent = text.strip().lower().partition("e")
    return f"{mantissa}.0e{exponent}" if letter and "." not in mantissa else text.strip()


def _location_in(data: Any, loc: tuple[Any, ...]) -> Location:
    """The part of a pydantic location that leads somewhere in the data; it also names union members and validators."""
    kept: list[str | int] = []
    for depth, step in enumerate(loc):
        last = depth == len(loc) - 1
        if isinstance(data, dict) and isinstance(step, str) and (step in data or last):
            kept.append(step)
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            kept.append(step)
            data = data[step]
    return tuple(kept)


def _known_at(known_keys: Mapping[Location, Iterable[str]], loc: Location) -> Iterable[str]:
    for pattern, names in known_keys.items():
        if len(pattern) == len(loc) and all(want in ("*", step) for want, step in zip(pattern, loc, strict=True)):
            return names
    return ()
