"""Straight-line programs as Python source: assignments between numbered variables, built into functions.

Equal operations are written once, so equal parts of different rules are computed once. No text of a rule file ever
stands in the source: names and texts are numbered, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from constraints.judging.arithmetic import PRIMITIVES

#: inputs, and where each is set, to outputs; each a plain value or an array of shape (points,)
Program: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], tuple[Any, ...]]


class ProgramSource:
    """One program while it is written: `let` operations, then build the function that returns chosen variables.

    Args:
        inputs: names to their position among the columns (and the masks of what is set) that the program is given.
    """

    def __init__(self, inputs: Mapping[str, int]) -> None:
        self.inputs = inputs
        self._lines: dict[tuple[str, ...], str] = {}  # (template, operands) to variable, in order
        self._constants: dict[str, Any] = {}
        self._texts: dict[str | None, str] = {}

    def let(self, template: str, *operands: str) -> str:
        """A variable for an operation, the same one for the same operation."""
        return self._lines.setdefault((template, *operands), f"v{len(self._lines)}")

    def constant(self, value: Any) -> str:
        """How a value is written: numbers and truths as they are, texts by a number of theirs."""
        if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
            return repr(value)
        if not isinstance(value, str | None):
            return "nan"
        name = self._texts.setdefault(value, f"c{len(self._texts)}")
        self._constants[name] = value
        return name

    def join(self, operator: str, parts: Sequence[str]) -> str:
        """`a & b & c` or `a | b | c`, two at a time so that programs share beginnings."""
        return self.fold(f"{{}} {operator} {{}}", parts)

    def fold(self, template: str, parts: Sequence[str]) -> str:
        """An operation of two applied to many, from left to right."""
        joined = parts[0]
        for part in parts[1:]:
            joined = self.let(template, joined, part)
        return joined

    def build(self, outputs: Sequence[str]) -> Program:
        """The function that returns the chosen variables."""
        body = [f"{variable} = {template.format(*operands)}" for (template, *operands), variable in self._lines.items()]
        text = "\n ".join(
            ["def program(columns, given):", *body, f"return ({' '.join(f'{each},' for each in outputs)})"]
        )
        namespace: dict[str, Any] = {"__builtins__": {}, **PRIMITIVES, **self._constants}
        exec(compile(text, "<rules>", "exec"), namespace)  # noqa: S102 - numbered variables and primitives only
        program: Program = namespace["program"]
        return program
