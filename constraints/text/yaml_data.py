"""Plain data from YAML events, by the YAML 1.2 core schema, with the place of every value.

Chapter 10.3 of the YAML 1.2.2 specification: `1e-4` is a number, `on` and `12:30` are text. Anchors, aliases and tags
are refused, so a small text can neither grow into a large document nor name a class.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from constraints.text.errors import DocumentError, Problem

Location: TypeAlias = "tuple[str | int, ...]"

MAXIMUM_DEPTH = 40
MAXIMUM_NUMBER_LENGTH = 100
#: values that one file may hold: reading takes about 50 microseconds each
MAXIMUM_VALUES = 10_000

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUTH = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED_INTEGER = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def looks_like_number(text: str) -> bool:
    """Whether a text would be a number if it were written without quotes."""
    return bool(_FLOAT.fullmatch(text.strip()) or _BASED_INTEGER.fullmatch(text.strip()))


@dataclass(frozen=True)
class Span:
    """Where one value stands: character index and 1-based line and column of its start, and its YAML style."""

    index: int
    line: int
    column: int
    style: str | None = None


class DataBuilder:
    """Plain data from YAML events, without recursion; keeps positions and collects problems."""

    def __init__(self, text: str, file: str) -> None:
        self.root: Any = None
        self.values: dict[Location, Span] = {}
        self.keys: dict[Location, Span] = {}
        self.problems: list[Problem] = []
        self._file = file
        self._lines = text.split("\n")
        self._documents = 0
        self._open: list[_Container] = []

    def take(self, event: Any) -> None:
        """One event of the YAML stream (node types are told apart by name: ruamel's event classes are untyped)."""
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self._start_document(event)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._refuse_decoration(event)
            self._open_container(event, {} if kind == "MappingStartEvent" else [])
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._open.pop()
        elif kind == "ScalarEvent":
            self._refuse_decoration(event)
            self._place(event, self._scalar(event))
        elif kind == "AliasEvent":
            self._complain(event, f"alias '*{event.anchor}' is not allowed", "write the value out")
            self._place(event, None)

    def _start_document(self, event: Any) -> None:
        self._documents += 1
        if event.version or event.tags:
            self._complain(event, "YAML directives are not allowed", "remove the lines that begin with %")
        if self._documents == 2:
            self._complain(event, "a second document begins here", "keep one document in a file")

    def _refuse_decoration(self, event: Any) -> None:
        if event.anchor:
            self._complain(event, f"anchor '&{event.anchor}' is not allowed", "write the value out where it is needed")
        if event.tag:
            self._complain(event, f"tag '{event.tag}' is not allowed", "write a plain value")

    def _open_container(self, event: Any, value: Any) -> None:
        if len(self._open) >= MAXIMUM_DEPTH:
            self._complain(event, f"is nested deeper than {MAXIMUM_DEPTH} levels")
            raise DocumentError(tuple(self.problems))
        loc = self._place(event, value)
        self._open.append(_Container(value, loc))

    def _place(self, event: Any, value: Any) -> Location:
        """Puts a value where the stream stands and returns its location."""
        if not self._open:
            if self._documents == 1:
                self.root = value
                self.values[()] = self._span(event)
            return ()
        container = self._open[-1]
        if isinstance(container.value, list):
            loc = (*container.loc, len(container.value))
            container.value.append(value)
        elif not container.expects_value:
            container.expects_value = True
            container.key = self._key(event, value, container)
            return (*container.loc, "?")
        else:
            container.expects_value = False
            loc = (*container.loc, container.key)
            container.value[container.key] = value
        self.values[loc] = self._span(event)
        if len(self.values) > MAXIMUM_VALUES:
            self._complain(event, f"the file holds more than {MAXIMUM_VALUES:,} values", "split it, or write fewer")
            raise DocumentError(tuple(self.problems))
        return loc

    def _key(self, event: Any, key: Any, container: _Container) -> str:
        if not isinstance(key, str):
            shown = "null" if key is None else str(key)
            self._complain(event, f"keys are text, not {shown[:40]}", "put the key in quotes")
            return f"?{len(container.value)}"
        if key in container.value:
            line = self.keys[(*container.loc, key)].line
            self._complain(event, f"duplicate key '{key}' (first on line {line})", "remove one of the two")
        else:
            self.keys[(*container.loc, key)] = self._span(event)
        return key

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.style is not None:
            return text
        if _NULL.fullmatch(text):
            return None
        if _TRUTH.fullmatch(text):
            return text.lower() == "true"
        if _NOT_FINITE.fullmatch(text):
            self._complain(event, f"{text} is not a finite number")
            return 0.0
        if len(text) > MAXIMUM_NUMBER_LENGTH and looks_like_number(text):
            self._complain(event, f"a number of {len(text)} characters; at most {MAXIMUM_NUMBER_LENGTH} are read")
            return 0
        return self._number(event, text)

    def _number(self, event: Any, text: str) -> Any:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _BASED_INTEGER.fullmatch(text):
            return int(text, 0)
        if not _FLOAT.fullmatch(text):
            return text
        number = float(text)
        if number in (float("inf"), float("-inf")):
            self._complain(event, f"{text} is too large for a number")
        return number

    def _span(self, event: Any) -> Span:
        mark = event.start_mark
        return Span(mark.index, mark.line + 1, mark.column + 1, getattr(event, "style", None))

    def _complain(self, event: Any, message: str, hint: str = "") -> None:
        mark = event.start_mark
        source = self._lines[mark.line] if mark.line < len(self._lines) else ""
        self.problems.append(Problem(self._file, mark.line + 1, mark.column + 1, message, hint, source))


@dataclass
class _Container:
    """A mapping or list that is still being filled."""

    value: Any
    loc: Location
    key: str = ""
    expects_value: bool = False
