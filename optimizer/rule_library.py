"""The rule sets that a person can name: the versions of the database, and the shipped rule files."""

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

from constraints.rules import loading
from constraints.text import document as documents
from optimizer import errors, opening
from optimizer import settings as settings_module
from storage import rule_versions
from storage.server import embedded


@dataclasses.dataclass(frozen=True)
class NamedRules:
    """The text of a rule set. `number` is None for a shipped one."""

    name: str
    number: int | None
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "number": self.number, "shipped": self.number is None, "text": self.text}


def stored(settings: settings_module.Settings) -> Sequence[rule_versions.RuleVersion]:
    """Every version in the database, those of a set in their order; where no database was ever made none is made."""
    if settings.database_url is None and not embedded.status(settings.home).data.exists():
        return ()
    return rule_versions.listed(opening.services(settings).database)


def as_json(versions: Sequence[rule_versions.RuleVersion]) -> dict[str, Any]:
    """The contract of `tuneguard rules list --json`."""
    rows = [
        {
            "name": version.set_name,
            "number": version.number,
            "sha256": version.sha256,
            "author": version.author,
            "note": version.note,
            "created_at": version.created_at.isoformat(),
        }
        for version in versions
    ]
    return {"versions": rows, "shipped": sorted(loading.library())}


def render(versions: Sequence[rule_versions.RuleVersion], width: int | None) -> str:
    """A version a line, its note beside it; the note's lines are broken at `width` where that is given."""
    rows = [
        (f"{version.set_name}@{version.number}", f"{version.created_at:%Y-%m-%d %H:%M}", version.note)
        for version in versions
    ]
    rows += [(name, "shipped", "") for name in sorted(loading.library())]
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
