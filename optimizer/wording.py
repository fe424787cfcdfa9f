"""How figures are written for people, wherever they read them: tables, logs, reports."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any


def value(content: Any, digits: int = 4) -> str:
    """A parameter or a metric: `digits` significant ones of a number, text as it is, a dash for what is not known."""
    if content is None:
        return "-"
    if isinstance(content, bool) or not isinstance(content, float) or not math.isfinite(content):
        return str(content)
    return f"{content:.{digits}g}"


def signed(difference: float) -> str:
    """A difference with its sign, to three significant digits."""
    return f"{difference:+.3g}"


def duration(seconds: float) -> str:
    """Time that passed or is left, in the unit that a person would use."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counts(of: Mapping[str, int]) -> str:
    """Names with their counts, most first."""
    return ", ".join(f"{name} {count}" for name, count in sorted(of.items(), key=lambda item: (-item[1], item[0])))


def refusals(points: int, by_rule: Mapping[str, int]) -> str:
    """How many points were refused and by which rules, with a word where the rules' numbers add up to more."""
    if not points:
        return "nothing was refused"
    several = " (a point may break several rules)" if sum(by_rule.values()) > points else ""
    by = f": {counts(by_rule)}" if by_rule else ""
    return f"{points} point{'s' if points != 1 else ''} refused before training{several}{by}"


def listed(of: Mapping[str, int]) -> str:
    """Counts before what they count, in the order given: `9 usable, 2 unusable`."""
    return ", ".join(f"{count} {name}" for name, count in of.items())


def settings(of: Mapping[str, Any]) -> str:
    """Parameters with their values."""
    return ", ".join(f"{name} {value(content)}" for name, content in of.items())


def wrapped(line: str, width: int | None) -> str:
    """A sentence on as many lines as it takes, no word cut; None for any width."""
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
