"""Points as a person names them on the command line: JSON, read strictly."""

import json
import math
from collections.abc import Iterable
from typing import Any

from optimizer import errors

_EXAMPLE = 'write JSON such as {"network_dim": 64}'
#: nothing that names one value a parameter is longer
_MOST_CHARACTERS = 100_000


def read(text: str) -> dict[str, Any]:
    """A point given as JSON: an object of numbers, texts and truths, each name once.

    Raises:
        errors.BadInput: it is not; the message says where and what to write.
    """
    if len(text) > _MOST_CHARACTERS:
        raise errors.BadInput(f"--params: {len(text):,} characters; {_EXAMPLE}")
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise errors.BadInput(f"--params: column {error.colno}: {error.msg}; {_EXAMPLE}") from error
    except RecursionError as error:
        raise errors.BadInput(f"--params: is nested too deeply; {_EXAMPLE}") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise errors.BadInput(f"--params: {error}; {_EXAMPLE}") from error
    if not isinstance(pairs, _Pairs):
        raise errors.BadInput(f"--params: must be a JSON object, not {shown(pairs)}; {_EXAMPLE}")
    problems = [problem for name, value in pairs if (problem := _value_problem(name, value))]
    names = [name for name, _ in pairs]
    problems += [f"'{name}' is there twice; name each parameter once" for name in names if names.count(name) > 1][:1]
    if problems:
        raise bad(problems)
    return dict(pairs)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object whose keys may repeat."""


def _value_problem(name: str, value: Any) -> str | None:
    if value is None:
        return f"'{name}' is null; leave out what is not set"
    if isinstance(value, list):
        return f"'{name}' must be one value, not a {'mapping' if isinstance(value, _Pairs) else 'list'}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"'{name}' is {value}, which is no finite number"
    if isinstance(value, int) and abs(value) > 2**53:
        return f"'{name}' is a whole number beyond 2**53, which floats cannot tell apart"
    return None


def shown(value: Any) -> str:
    """A value as it was given, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def bad(problems: Iterable[str]) -> errors.BadInput:
    """Everything that is wrong with a point, one line each."""
    return errors.BadInput("\n".join(f"--params: {problem}" for problem in problems))
