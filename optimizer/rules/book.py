"""The rules of a study as they stand in the database, followed while the study runs.

A study file names rule files, shipped rule files or rule sets in the database. Files are pushed as versions when the
study is started; from then on the newest version of each set counts, wherever it came from. A version is pushed only if
every study that follows its set can use it.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from constraints.rules import examples, loading, rulefile
from constraints.rules import ruleset as rulesets
from constraints.text import errors as constraint_errors
from optimizer import errors
from optimizer.rules import compiled
from optimizer.study import resolved as studies
from storage import database as databases
from storage import rule_versions
from trainers.declared import registry

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Rulebook:
    """The rule sets of one study: the newest usable version of each, compiled together over the study's space."""

    study: studies.Study
    sets: tuple[str, ...]
    versions: tuple[rule_versions.RuleVersion, ...]
    rules: rulesets.RuleSet
    #: the newest versions that were looked at, whether or not they could be used
    seen: tuple[int, ...]

    @property
    def label(self) -> str:
        """The versions in force, as `name@number, ...`."""
        return _label(self.versions)

    @property
    def version_ids(self) -> tuple[int, ...]:
        """The database ids of the versions in force."""
        return tuple(version.id for version in self.versions)

    def refresh(self, connection: sa.Connection) -> str | None:
        """Take over newer versions, if there are any; where they cannot be used, those in force stay.

        Returns:
            Why newer versions cannot be used, once for each of them.
        """
        seen = rule_versions.latest_ids(connection, self.sets)
        if seen == self.seen:
            return None
        newest = tuple(rule_versions.latest(connection, self.sets))
        self.seen = seen  # only now: the database may go away between the two
        try:
            self.rules = load_versions(self.study, newest)
        except errors.BadInput as error:
            return _kept(self.versions, error)
        self.versions = newest
        return None


def push(
    connection: sa.Connection, study: studies.Study, author: str, followers: Sequence[studies.Study] = ()
) -> Rulebook:
    """Store the rule files of a study as versions and open them; nothing is stored unless all of them are right.

    A name without `.yaml` is a rule set of the database where there is one, else a shipped rule file. A text that is
    stored already is not pushed again, so a file that was not edited never takes the place of a newer version.

    Args:
        connection: in a transaction, in which whatever else the study needs is done as well.
        followers: studies that follow sets of the database, which new versions must fit, too.

    Raises:
        errors.BadInput: a rule file is wrong, here or in a follower; the message lists every problem of every file.
    """
    rule_versions.editing(connection)
    stored = {version.set_name for version in rule_versions.latest(connection, study.rules)}
    sources = [
        _text(_usable(connection, study, name)) if name in stored else compiled.source_of(name) for name in study.rules
    ]
    files = compiled.load(study, sources).files
    for name, file in zip(study.rules, files, strict=True):
        if name not in stored and not rule_versions.is_stored(connection, file.name, file.document.text):
            push_file(connection, file, followers, author, note=f"study {study.name}")
    names = tuple(file.name for file in files)
    seen = rule_versions.latest_ids(connection, names)
    versions = tuple(_usable(connection, study, name) for name in names)
    return Rulebook(study, names, versions, load_versions(study, versions), seen)


def newest_text(database: databases.Database, name: str) -> loading.RuleText:
    """The newest version of a rule set, as a source that problems name `set@number`."""
    return _text(rule_versions.newest(database, name))


def push_file(
    connection: sa.Connection, file: rulefile.RuleFile, followers: Sequence[studies.Study], author: str, note: str
) -> rule_versions.RuleVersion:
    """Store a rule file as the newest version of its set.

    Raises:
        errors.BadInput: it cannot be used in a study that follows the set; each one is named with every problem.
    """
    rule_versions.editing(connection)
    problems = []
    for study in followers:
        if file.name in study.rules:
            others = rule_versions.latest(connection, [name for name in study.rules if name != file.name])
            text = loading.RuleText(text=file.document.text, name=file.document.file)
            try:
                compiled.load(study, [text, *map(_text, others)])
            except errors.BadInput as error:
                problems.append(
                    f"the study {study.name!r} follows {file.name!r} and could not use this version:\n{error}"
                )
    if problems:
        remedy = "nothing was pushed; mend the rules, or give them a set of their own by another `name:`"
        raise errors.BadInput("\n".join([*problems, remedy]))
    return rule_versions.push(connection, file.name, file.document.text, author=author, note=note)


def try_examples(path: pathlib.Path, followers: Sequence[studies.Study]) -> None:
    """Run the examples of a rule file that is to be pushed.

    Args:
        followers: studies that follow its set; the file need not list the parameters that they know.

    Raises:
        errors.BadInput: one does not hold, or a name is not known.
    """
    known = {name for study in followers for name in (*study.space, *study.fixed, *_defaults(study))}
    try:
        results = examples.run([path], known, registry.signals())
    except constraint_errors.DocumentError as error:
        hint = "no study follows this set yet, so what its rules name must stand in its `parameters:` or its examples"
        raise errors.BadInput(f"{error}" if followers else f"{error}\n{hint}") from error
    failing = [found for found in results if not found.passed]
    if failing:
        raise errors.BadInput(f"examples of {path} do not hold; nothing was pushed\n{examples.render(results)}")


def _defaults(study: studies.Study) -> Mapping[str, Any]:
    """What the trainer adds to a study's own parameters."""
    searched = {**study.space, **study.fixed}
    return {**study.declared.defaults(study.space), **study.declared.derived(searched)}


def _usable(connection: sa.Connection, study: studies.Study, name: str) -> rule_versions.RuleVersion:
    """The newest version of a set that this study can use.

    Raises:
        errors.BadInput: none can be used; what is wrong with the newest is said.
    """
    why: errors.BadInput | None = None
    for version in rule_versions.of_set(connection, name):
        try:
            load_versions(study, [version])
        except errors.BadInput as error:
            why = why or error
            continue
        if why is not None:
            logger.warning("%s", _kept([version], why))
        return version
    assert why is not None, f"the set {name} has no version"
    raise why


def _kept(versions: Sequence[rule_versions.RuleVersion], why: Exception) -> str:
    return f"a newer version of the rules cannot be used here, so {_label(versions)} stay in force: {why}"


def _label(versions: Sequence[rule_versions.RuleVersion]) -> str:
    return ", ".join(f"{version.set_name}@{version.number}" for version in versions)


def load_versions(study: studies.Study, versions: Sequence[rule_versions.RuleVersion]) -> rulesets.RuleSet:
    """Compile stored texts over a study's space; a problem names `set@number` as its file."""
    return compiled.load(study, [_text(version) for version in versions])


def _text(version: rule_versions.RuleVersion) -> loading.RuleText:
    return loading.RuleText(text=version.text, name=f"{version.set_name}@{version.number}")


def newest(database: databases.Database, study: studies.Study, sets: Sequence[str]) -> rulesets.RuleSet:
    """The newest versions of some rule sets that a study can use, compiled over its space."""
    return load_versions(study, in_force(database, study, sets))


def in_force(
    database: databases.Database, study: studies.Study, sets: Sequence[str]
) -> tuple[rule_versions.RuleVersion, ...]:
    """The newest version of each rule set that a study can use.

    Raises:
        errors.BadInput: it can use none of a set.
    """
    with database.transaction() as connection:
        return tuple(_usable(connection, study, name) for name in sets)
