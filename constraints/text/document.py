"""YAML 1.2 in, plain data with positions out: the strict reading that rule files and study files share.

ruamel.yaml turns text into events; this module builds plain data from them by the YAML 1.2 core schema (chapter 10.3
of the YAML 1.2.2 specification: `1e-4` is a number, `on` is text, `12:30` is text). Anchors, aliases and tags are
refused, so a small text can neither grow into a large document nor name a class. Every entry keeps its place, so that
any later complaint can point at it.
"""

from __future__ import annotations

import difflib
import stat
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from constraints.text.errors import DocumentError, Problem
from constraints.text.yaml_data import DataBuilder, Location, Span, looks_like_number

MAXIMUM_BYTES = 1_000_000


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None when none is close."""
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, else lists what is known."""
    names = sorted(known)
    if (suggestion := nearest(word, names)) is not None:
        return f"did you mean '{suggestion}'?"
    if not names:
        return ""
    return "known: " + ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data (dict, list, str, int, float, bool, None) that remembers where everything stood."""

    file: str
    text: str
    data: dict[str, Any]
    _values: Mapping[Location, Span] = field(repr=False)
    _keys: Mapping[Location, Span] = field(repr=False)

    def at(self, loc: Location, *, key: bool = False) -> tuple[int, int]:
        """1-based line and column of the value at `loc` (or of its key); of the nearest ancestor if missing."""
        span = self._span(loc, key=key)
        return span.line, span.column

    def problem(self, loc: Location, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """A Problem that points at the value (or the key) at `loc`."""
        span = self._span(loc, key=key)
        return Problem(self.file, span.line, span.column, message, hint, self._source_line(span.line))

    def problem_inside(self, loc: Location, offset: int, message: str, hint: str = "") -> Problem:
        """A Problem that points at character `offset` of the text value at `loc`, wherever YAML has put it."""
        index = self._index_inside(loc, offset)
        line = self.text.count("\n", 0, index) + 1
        column = index - (self.text.rfind("\n", 0, index) + 1) + 1
        return Problem(self.file, line, column, message, hint, self._source_line(line))

    def _span(self, loc: Location, *, key: bool) -> Span:
        if key and loc in self._keys:
            return self._keys[loc]
        while loc and loc not in self._values:
            loc = loc[:-1]
        return self._values[loc]

    def _source_line(self, line: int) -> str:
        lines = self.text.split("\n")
        return lines[line - 1] if 0 < line <= len(lines) else ""

    def _index_inside(self, loc: Location, offset: int) -> int:
        """Matches the value's visible characters to the source's, which holds for every style but escapes."""
        span = self._values[loc]
        value = _existing(self.data, loc)
        index = span.index
        if span.style in ("|", ">"):
            index = self.text.index("\n", index) + 1
        elif span.style in ("'", '"'):
            index += 1
        wanted = [letter for letter in str(value)[:offset] if not letter.isspace()]
        for letter in wanted:
            index = self._skip_space(index)
            if self.text[index : index + 1] != letter:
                return span.index
            index += 1
        return self._skip_space(index) if offset < len(str(value)) else min(index, len(self.text))

    def _skip_space(self, index: int) -> int:
        while index < len(self.text) and self.text[index].isspace():
            index += 1
        return index


def read(path: Path) -> Document:
    """Reads a YAML file.

    Raises:
        DocumentError: with every problem, when the file cannot be read or is not the YAML that this project accepts.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, and a device read, for ever
            message = "is a folder" if stat.S_ISDIR(found.st_mode) else "is a pipe or a device"
            raise DocumentError((Problem(str(path), 0, 0, f"cannot be read: {message}", "name a plain file"),))
        size = found.st_size
        content = path.read_bytes() if size <= MAXIMUM_BYTES else b""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = "check the path" if isinstance(error, FileNotFoundError) else ""
        raise DocumentError((Problem(str(path), 0, 0, f"cannot be read: {reason}", hint),)) from error
    if size > MAXIMUM_BYTES:
        raise DocumentError((_too_large(str(path), size),))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte {error.start + 1} (0x{content[error.start]:02x}) is not UTF-8"
        raise DocumentError((Problem(str(path), line, 1, message, "save the file as UTF-8"),)) from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Document:
    """Reads YAML text; `file` is the name that problems carry.

    Raises:
        DocumentError: with every problem that was found.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAXIMUM_BYTES:
        raise DocumentError((_too_large(file, len(text)),))
    builder = DataBuilder(text, file)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except YAMLError as error:
        builder.problems.append(_syntax_problem(error, text, file))
    except (ValueError, OverflowError):
        message = 'is not valid YAML: an escape such as "\\UFFFFFFFF" stands for no character'
        builder.problems.append(Problem(file, 1, 1, message))
    if not builder.problems and not isinstance(builder.root, dict):
        builder.problems.append(Problem(file, 1, 1, "must be a mapping of keys to values, as in 'name: my-character'"))
    if builder.problems:
        raise DocumentError(tuple(builder.problems))
    return Document(file, text, builder.root, builder.values, builder.keys)


def problems_of(document: Document, error: Any, model: Any) -> tuple[Problem, ...]:
    """Every problem of a pydantic `ValidationError`, with its place in the document and the nearest known key.

    Args:
        document: the document whose data was validated.
        error: the `pydantic.ValidationError` (typed as Any, so that this module need not import pydantic).
        model: the pydantic model that the data was validated against.
    """
    return tuple(_problem_of(document, found, model) for found in error.errors(include_url=False))


def _problem_of(document: Document, found: Mapping[str, Any], model: Any) -> Problem:
    loc = _location_in(document.data, found["loc"])
    given = found.get("input")
    kind = str(found["type"])
    if kind == "extra_forbidden":
        hint = did_you_mean(str(loc[-1]), _known_keys(model, loc[:-1]))
        return document.problem(loc, f"unknown key '{loc[-1]}'", hint, key=True)
    if kind == "missing":
        return document.problem(loc[:-1], f"'{found['loc'][-1]}' is missing", key=True)
    if isinstance(given, str) and looks_like_number(given) and kind.startswith(("float", "int")):
        return document.problem(loc, f"'{given}' is text", f"write {_as_number(given)} without quotes")
    message = _sentence(kind, str(found["msg"]))
    not_this = f", not {shown(given)}" if kind != "value_error" and not isinstance(given, dict | list) else ""
    at_key = given is None or found["loc"][-1] == "[key]"
    return document.problem(loc, message + not_this, key=at_key)


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


def shown(value: Any) -> str:
    """A value as a person wrote it, cut where it is long; a place that was left empty is 'nothing'."""
    if value is None:
        return "nothing"
    text = f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
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


def _known_keys(model: Any, loc: Location) -> list[str]:
    """The keys that the models reached by `loc` accept, by their names in the file."""
    models = [model]
    for step in loc:
        if isinstance(step, str):
            found = [
                field for each in models for name, field in each.model_fields.items() if step in (name, field.alias)
            ]
            models = [each for field in found for each in _models_in(field.annotation)] or models
    return [field.alias or name for each in models for name, field in each.model_fields.items()]


def _models_in(annotation: Any) -> list[Any]:
    """The pydantic models that a type annotation mentions."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _existing(data: Any, loc: Location) -> Any:
    for step in loc:
        data = data[step]
    return data


def _too_large(file: str, size: int) -> Problem:
    return Problem(file, 0, 0, f"is {size:,} bytes long; at most {MAXIMUM_BYTES:,} are read", "split the file")


def _syntax_problem(error: YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    message = getattr(error, "problem", None) or str(error).split("\n")[0]
    if mark is None:
        position = getattr(error, "position", 0)
        index = position if isinstance(position, int) else 0
        mark_line, mark_column = text.count("\n", 0, index), index - (text.rfind("\n", 0, index) + 1)
    else:
        mark_line, mark_column = mark.line, mark.column
    lines = text.split("\n")
    source = lines[mark_line] if mark_line < len(lines) else ""
    hint = ""
    if "\\t" in message:
        hint = "indent with spaces; YAML does not allow tabs"
    elif "mapping values are not allowed" in message:
        hint = "put the value in quotes if it holds ': ', and check the indentation"
    return Problem(file, mark_line + 1, mark_column + 1, f"is not valid YAML: {message}", hint, source)
