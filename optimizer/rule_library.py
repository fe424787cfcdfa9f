"""The rule sets that a person can name: the versions of the database, and the shipped rule files."""

import dataclasses
import textwrap
from collections.abc import Sequence

import pydantic

from constraints.rules import loading
from constraints.text import document as documents
from optimizer import errors, jsonable, opening
from optimizer import settings as settings_module
from storage import rule_versions
from storage.server import embedded


@dataclasses.dataclass(frozen=True)
class NamedRules:
    """The text of a rule set. `number` is None for a shipped one."""

    name: str
    number: int | None
    text: str

    @pydantic.computed_field
    @property
    def shipped(self) -> bool:
        """Whether it comes with the product, and lies in no database."""
        return self.number is None


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a rule set, without its text."""

    name: str
    number: int
    sha256: str
    author: str
    note: str
    created_at: jsonable.Timestamp


@dataclasses.dataclass(frozen=True)
class Listing:
    """Every version in the database, those of a set in their order, and the names of the shipped rule files."""

    versions: tuple[Version, ...]
    shipped: tuple[str, ...]


def stored(settings: settings_module.Settings) -> Sequence[rule_versions.RuleVersion]:
    """Every version in the database, those of a set in their order; where no database was ever made none is made."""
    if settings.database_url is None and not embedded.status(settings.home).data.exists():
        return ()
    return rule_versions.listed(opening.services(settings).database)


def listing(settings: settings_module.Settings) -> Listing:
    """All rule sets that a person can name."""
    versions = tuple(
        Version(each.set_name, each.number, each.sha256, each.author, each.note, each.created_at)
        for each in stored(settings)
    )
    return Listing(versions, tuple(sorted(loading.library())))


def render(found: Listing, width: int | None) -> str:
    """A version a line, its note beside it; the note's lines are broken at `width` where that is given."""
    rows = [(f"{each.name}@{each.number}", f"{each.created_at:%Y-%m-%d %H:%M}", each.note) for each in found.versions]
    rows += [(name, "shipped", "") for name in found.shipped]
    longest = max(len(name) for name, _, _ in rows)
    lines = []
    for name, when, note in rows:
        line = f"{name:{longest}}  {when:16}  {note}".rstrip()
        if width is None or len(line) <= width:
            lines.append(line)
        else:
            lines.append(f"{name}  {when}")
            lines += textwrap.wrap(note, max(width, 20), initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def find(settings: settings_module.Settings, name: str, number: int | None) -> NamedRules:
    """The text of one version, of the newest one, or of a shipped file where the database has no set of that name.

    Raises:
        errors.BadInput: there is none; the message says what there is.
    """
    versions = stored(settings)
    numbers = {version.number: version for version in versions if version.set_name == name}
    if numbers and (number is None or number in numbers):
        found = numbers[max(numbers) if number is None else number]
        return NamedRules(name, found.number, found.text)
    shipped = loading.library()
    if number is None and name in shipped:
        return NamedRules(name, None, shipped[name].read_text(encoding="utf-8"))
    if numbers:
        raise errors.BadInput(f"{name} has versions 1 to {max(numbers)}, none is number {number}")
    if name in shipped:
        raise errors.BadInput(f"{name} is shipped and has no versions; leave out --version")
    hint = documents.did_you_mean(name, {*shipped, *(version.set_name for version in versions)})
    raise errors.BadInput(f"there is no rule set '{name}'; {hint}")
