"""Errors of the rule engine.

    ConstraintsError
    ├── DocumentError     a rule or study file is not valid; carries every problem that was found
    ├── ExpressionError   one expression is not valid; carries the span of the offending part
    └── PointError        a point or a table of points cannot be judged as it was passed

A broken rule is not an error: it is a value (see `constraints.judging.verdict`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file, and where.

    `line` and `column` count from 1; 0 says that the problem has no place in the text (a file that cannot be read).
    `source_line` is the text of that line, shown with a caret under `column`.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    source_line: str = ""

    def render(self) -> str:
        """`file:line:column: message`, then the source line with a caret, then what to do."""
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        lines = [where + self.message]
        if self.source_line.strip():
            lines += self._excerpt()
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        return "\n".join(map(_printable, lines))

    def _excerpt(self, width: int = 160) -> list[str]:
        """The source line and its caret; a long line is cut to `width` characters around the caret."""
        start = max(0, self.column - 1 - width // 2) if len(self.source_line) > width else 0
        shown = self.source_line[start : start + width]
        return [f"    {shown}", "    " + " " * (self.column - 1 - start) + "^"]


def _printable(text: str) -> str:
    """The text without characters that would steer a terminal or cannot be encoded."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class ConstraintsError(Exception):
    """Root of every error that the rule engine raises on purpose."""


class DocumentError(ConstraintsError):
    """A file is not valid. `str()` shows every problem, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(problems, key=lambda found: (found.file, found.line, found.column)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(problem.render() for problem in self.problems)


class ExpressionError(ConstraintsError):
    """An expression is not valid. `start` and `end` are character offsets in its text."""

    def __init__(self, message: str, start: int, end: int, hint: str = "") -> None:
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint
        super().__init__(message)


class PointError(ConstraintsError):
    """A point cannot be judged as it was passed: a value of the wrong kind, columns of different lengths."""
