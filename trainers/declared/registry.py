"""The trainers that there are: a line each. Torch-free.

Others may come with a Python package of their own: whatever it names as an entry point of the group
`tuneguard.trainers` is a `Declaration`, under the name of that entry point.
"""

import functools
import importlib.metadata
from collections.abc import Mapping

from trainers.contract import errors
from trainers.declared import command, diffusion_lora, sd_scripts
from trainers.declared.declaration import Declaration
from trainers.terms import suggestions

_OURS = (
    diffusion_lora.DECLARATION,
    sd_scripts.DECLARATION,
    command.DECLARATION,
)
#: where packages of others name theirs
GROUP = "tuneguard.trainers"
#: meant where a study names none
DEFAULT = diffusion_lora.DECLARATION


@functools.cache
def declarations() -> Mapping[str, Declaration]:
    """Every trainer by its name.

    Raises:
        errors.JobError: one that a package names is no declaration of that name.
    """
    found = {each.name: each for each in _OURS}
    for point in importlib.metadata.entry_points(group=GROUP):
        declared = point.load()
        if not isinstance(declared, Declaration) or declared.name != point.name or point.name in found:
            raise errors.JobError(f"{point.value}: is no declaration of a trainer {point.name!r} that is not there yet")
        found[point.name] = declared
    return found


def of(name: str) -> Declaration:
    """What a trainer says of itself.

    Raises:
        KeyError: there is no such trainer; `unknown` words it for people.
    """
    return declarations()[name]


def signals() -> frozenset[str]:
    """What any of them tells while it trains, beside what every `step` event holds."""
    return frozenset(name for each in declarations().values() for name in each.signals or ())


def looked_at(name: object) -> Declaration:
    """What a study file is looked at with: its trainer, or the usual one where there is none of that name."""
    return declarations().get(name, DEFAULT) if isinstance(name, str) else DEFAULT


def unknown(name: str) -> str | None:
    """Say that there is no such trainer, or None."""
    known = declarations()
    if name in known:
        return None
    return f"trainer: {name!r} is none of {', '.join(known)}{suggestions.nearest(name, known)}"
