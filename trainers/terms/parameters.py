"""A parameter of a trainer: name, kind, unit, range, default and when it has an effect. Torch-free.

The study check, the trainer and the documentation read the same tables of them.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

from trainers.contract import job
from trainers.terms import suggestions

ParameterKind = Literal["int", "float", "text", "truth", "any"]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a trainer.

    `low` and `high` bound a number, both included unless `low_excluded`. `default` None means that the value follows
    from the others; `meaning` says how. `when` is an expression of the rule language over other parameters: where it
    is false, the value changes nothing. Empty means that it always counts. `is_path` marks a file or folder: a study
    file counts it from its own folder. `share_of` makes `<name>_ratio` stand for `<name>`: a share of that parameter.
    """

    name: str
    kind: ParameterKind
    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    low_excluded: bool = False
    choices: tuple[str, ...] = ()
    default: job.Scalar | None = None
    when: str = ""
    is_path: bool = False
    share_of: str = ""

    def problem(self, value: object) -> str | None:
        """Say why `value` cannot be used, or None."""
        if self.kind == "any":
            return None
        if self.kind == "truth":
            return None if isinstance(value, bool) else f"{self.name}: {value!r} is neither true nor false"
        return self._text_problem(value) if self.kind == "text" else self._number_problem(value)

    def _number_problem(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return f"{self.name}: {value!r} is not a number"
        if self.kind == "int" and not isinstance(value, int):
            return f"{self.name}: {value!r} is not a whole number"
        if value < self.low or value > self.high or (self.low_excluded and value == self.low):
            return f"{self.name}: {value!r} is outside of {self.range_text()}"
        return None

    def _text_problem(self, value: object) -> str | None:
        if not isinstance(value, str):
            return f"{self.name}: {value!r} is not text"
        if self.choices and value not in self.choices:
            return (
                f"{self.name}: {value!r} is none of {', '.join(self.choices)}{suggestions.nearest(value, self.choices)}"
            )
        return None

    def range_text(self) -> str:
        """The values it takes, for people."""
        if self.kind == "truth":
            return "true, false"
        if self.kind == "any":
            return "any"
        if self.kind == "text":
            return ", ".join(self.choices) or "text"
        low = "" if self.low == -math.inf else f"{'>' if self.low_excluded else '>='} {self.low:g}"
        high = "" if self.high == math.inf else f"<= {self.high:g}"
        return " and ".join(part for part in (low, high) if part) or "any number"


ParameterTable: TypeAlias = Mapping[str, Parameter]


def table(*parameters: Parameter) -> ParameterTable:
    """Parameters by name; of two with one name the later one counts."""
    return {parameter.name: parameter for parameter in parameters}


class OpenTable(dict[str, Parameter]):
    """A table that takes any further name as it is: the script knows what it means."""

    def __missing__(self, name: str) -> Parameter:
        return Parameter(name, "any", "Handed to the script as it is.")
