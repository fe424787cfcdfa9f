"""A section of a study file as its trainer reads it, and what is wrong with it. Torch-free."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class SectionProblem:
    """One thing that is wrong; `where` are keys of the study file, `on_key` says that the key itself is meant."""

    where: tuple[str | int, ...]
    message: str
    remedy: str = ""
    on_key: bool = False


@dataclasses.dataclass(frozen=True)
class ResolvedSection:
    """A section that stands for itself, wherever it is read: absolute paths, files written out.

    Attributes:
        document: the section, which its trainer's own model takes.
        problems: what is wrong with the files that it names.
        is_whole: whether the document is what was meant; else something neutral stands where it is not.
    """

    document: Mapping[str, Any]
    problems: tuple[SectionProblem, ...] = ()
    is_whole: bool = True
