"""Straight-line programs as Python source: assignments between numbered variables, built into functions.

Equal operations are written once, so equal parts of different rules are computed once. No text of a rule file ever
stands in the source: names and texts are numbered, too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from constraints.judging.arithmetic import COLUMNS, NUMBERS

Program: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], tuple[Any, ...]]
PointProgram: TypeAlias = Callable[[Mapping[str, Any]], "tuple[bool, ...] | None"]

#: how columns' operations are written for single numbers, which settle an `and` or `or` as soon as they can
_FOR_NUMBERS = {
    "{} & {}": "{} and {}",
    "{} | {}": "{} or {}",
    "negate({})": "not {}",
    "where({}, {}, {})": "{1} if {0} else {2}",
    "absolute({})": "abs({})",
}
#: how deeply single-use variables are written into one another; Python's parser stops at 200 parentheses
_MOST_NESTED = 30
_INPUT = re.compile(r"(?:columns|given)\[(\d+)\]")
#: whole numbers beyond 2^53 differ as integers and as floats, so they take the careful path
_MODERATE = ("-9e15", "9e15")


class Source:
    """One program while it is written: `let` operations, then build the function that returns chosen variables.

    Args:
        inputs: names to their position among the columns (and the masks of what is set) that the program is given.
    """

    def __init__(self, inputs: Mapping[str, int]) -> None:
        self.inputs = inputs
        self._lines: dict[tuple[str, ...], str] = {}  # (template, operands) to variable, in order
        self._constants: dict[str, Any] = {"nan": math.nan}
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

    def column_program(self, outputs: Sequence[str]) -> Program:
        """The outputs as a function of columns and masks of what is set, each of shape (points,)."""
        body = [f"{variable} = {line[0].format(*line[1:])}" for line, variable in self._lines.items()]
        return self._build("columns, given", [*body, _return(outputs)], COLUMNS)

    def number_program(self, outputs: Sequence[str]) -> Program:
        """The outputs as a function of single numbers and whether each is set."""
        return self._build("columns, given", self._number_lines(outputs), NUMBERS)

    def point_program(self, outputs: Sequence[str], kinds: Sequence[str]) -> PointProgram:
        """The outputs as a function of values by name; None where a value is missing, of another kind, or large."""
        used = {int(found.group(1)) for line in self._lines if (found := _INPUT.fullmatch(line[0]))}
        bind = [f"i{at} = values[{self.constant(name)}]" for name, at in self.inputs.items() if at in used]
        numbers = [f"i{at}" for at in sorted(used) if kinds[at] == "number"]
        checks = [f"{_MODERATE[0]} < {' + '.join([*numbers, '0.0'])} < {_MODERATE[1]}"]
        checks += [f"i{at}.__class__ is {kinds[at]}" for at in sorted(used) if kinds[at] in ("text", "truth")]
        guarded = [f"  {line}" for line in (*bind, f"if not ({' and '.join(checks)}): return None")]
        body = ["try:", *guarded, "except unfit:", "  return None", *self._number_lines(outputs)]
        body = [_INPUT.sub(_of_point, line) for line in body]
        primitives = {**NUMBERS, "text": str, "truth": bool, "unfit": (KeyError, TypeError, ValueError)}
        return self._build("values", body, primitives)

    def _build(self, arguments: str, body: Sequence[str], primitives: Mapping[str, Any]) -> Callable[..., Any]:
        source = f"def program({arguments}):\n " + "\n ".join(body)
        namespace: dict[str, Any] = {"__builtins__": {}, **primitives, **self._constants}
        exec(compile(source, "<rules>", "exec"), namespace)  # noqa: S102 - numbered variables and primitives only
        program: Callable[..., Any] = namespace["program"]
        return program

    def _number_lines(self, outputs: Sequence[str]) -> list[str]:
        """The lines for single numbers, where a variable that is used once stands where it is used."""
        uses = Counter(operand for line in self._lines for operand in line[1:]) + Counter(outputs)
        written: dict[str, tuple[str, int]] = {}
        body = []
        for (template, *operands), variable in self._lines.items():
            parts = [written.get(operand, (operand, 0)) for operand in operands]
            text = _FOR_NUMBERS.get(template, template).format(*(part for part, _ in parts))
            nested = 1 + max((depth for _, depth in parts), default=0)
            if uses[variable] == 1 and nested < _MOST_NESTED:
                written[variable] = (f"({text})", nested)
            else:
                body.append(f"{variable} = {text}")
        return [*body, _return([written.get(output, (output, 0))[0] for output in outputs])]


def _of_point(found: re.Match[str]) -> str:
    """How an input is written in a program that binds its own: whatever it has bound is set."""
    return f"i{found.group(1)}" if found.group().startswith("columns") else "True"


def _return(outputs: Sequence[str]) -> str:
    return f"return ({' '.join(f'{output},' for output in outputs)})"
