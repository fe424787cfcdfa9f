"""The rules of a study as they stand in the database, followed while the study runs.

A study file names rule files, shipped rule files or rule sets in the database. Files are pushed as versions when the
study is started; from then on the newest version of each set counts, wherever it came from.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TypeAlias

import sqlalchemy as sa

from constraints import errors as constraint_errors
from constraints import expression, loading, rulefile
from constraints import ruleset as rulesets
from optimizer import errors
from optimizer import study as studies
from storage import database as databases
from storage import rule_versions
from trainers import metrics, parameters

#: a rule file's path, the name of a shipped one, or a text from the database
Source: TypeAlias = pathlib.Path | str | loading.RuleText


@dataclasses.dataclass
class Rulebook:
    """The rule sets of one study: the newest version of each, compiled together over the study's space."""

    study: studies.Study
    sets: tuple[str, ...]
    versions: tuple[rule_versions.RuleVersion, ...]
    rules: rulesets.RuleSet

    @property
    def label(self) -> str:
        return ", ".join(f"{version.set_name}@{version.number}" for version in self.versions)

    def refresh(self, connection: sa.Connection) -> None:
        """Take over newer versions, if there are any."""
        newest = tuple(rule_versions.latest(connection, self.sets))
        if newest != self.versions:
            self.rules = load_versions(self.study, newest)
            self.versions = newest


def load(study: studies.Study, sources: Sequence[Source]) -> rulesets.RuleSet:
    """Compile rule texts over a study's space.

    What the study leaves out trains with the trainer's default, so rules judge that, too.

    Raises:
        errors.BadInput: a rule file is wrong; the message lists every problem.
    """
    told = metrics.table(study.trainer)
    try:
        rules = rulesets.load(
            sources,
            study.space,
            fixed=parameters.defaults(study.trainer, study.space) | dict(study.fixed),
            metrics=None if told is None else list(told),
            derived=parameters.derived(study.trainer, {**study.space, **study.fixed}),
        )
    except constraint_errors.ConstraintsError as error:
        raise errors.BadInput(str(error)) from error
    problems = _untold(study, rules)
    if problems:
        raise errors.BadInput("\n".join(problems))
    return rules


def _untold(study: studies.Study, rules: rulesets.RuleSet) -> list[str]:
    """Expect rules on metrics that this study's trainer does not tell: no trial could ever satisfy them."""
    found = []
    for rule in rules.rules:
        if rule.kind == "expect":
            for name in sorted(expression.names(rule.broken)):
                missing = metrics.untold(study.trainer, name, study.evaluation)
                if missing:
                    remedy = "add that to the study, or take the rule out"
                    found.append(f"{rule.file}:{rule.line}: {rule.id}: {missing}; {remedy}")
    return found


def read_all(sources: Sequence[Source]) -> None:
    """Read rule files without a study, so that what is wrong with their form can be told.

    Raises:
        errors.BadInput: a file is wrong; the message lists every problem.
    """
    _, problems = loading.files_of(sources)
    if problems:
        raise errors.BadInput(str(constraint_errors.DocumentError(tuple(problems))))


def read_alone(name: str) -> rulefile.RuleFile:
    """Read a rule file without a study; its form is right, its names are not checked.

    Raises:
        errors.BadInput: the file is wrong; the message lists every problem.
    """
    files, problems = loading.files_of([source_of(name)])
    if problems:
        raise errors.BadInput(str(constraint_errors.DocumentError(tuple(problems))))
    return files[0]


def of_files(study: studies.Study) -> rulesets.RuleSet:
    """The rules that a study file names, without a database; sets that only a database holds are an error."""
    return load(study, [source_of(name) for name in study.rules])


def source_of(name: str) -> Source:
    """A rule file's path, or the name of a shipped one."""
    return pathlib.Path(name) if name.endswith((".yaml", ".yml")) else name


def push(database: databases.Database, study: studies.Study, author: str) -> Rulebook:
    """Store the rule files of a study as versions and open them; nothing is stored unless all of them are right.

    A name without `.yaml` is a rule set of the database where there is one, else a shipped rule file. A text that is
    stored already is not pushed again, so a file that was not edited never takes the place of a newer version.

    Raises:
        errors.BadInput: a rule file is wrong; the message lists every problem of every file.
    """
    stored = {version.set_name for version in rule_versions.listed(database)}
    sources = [newest_text(database, name) if name in stored else source_of(name) for name in study.rules]
    files = load(study, sources).files
    for name, file in zip(study.rules, files, strict=True):
        texts = {version.text for version in rule_versions.listed(database, file.name)}
        if name not in stored and file.document.text not in texts:
            rule_versions.push(database, file.name, file.document.text, author=author, note=f"study {study.name}")
    names = tuple(file.name for file in files)
    versions = tuple(rule_versions.newest(database, name) for name in names)
    return Rulebook(study, names, versions, load_versions(study, versions))


def newest_text(database: databases.Database, name: str) -> loading.RuleText:
    """The newest version of a rule set, as a source that problems name `set@number`."""
    version = rule_versions.newest(database, name)
    return loading.RuleText(text=version.text, name=f"{name}@{version.number}")


def load_versions(study: studies.Study, versions: Sequence[rule_versions.RuleVersion]) -> rulesets.RuleSet:
    """Compile stored texts over a study's space; a problem names `set@number` as its file."""
    sources = [loading.RuleText(text=version.text, name=f"{version.set_name}@{version.number}") for version in versions]
    return load(study, sources)


def newest(database: databases.Database, study: studies.Study, sets: Sequence[str]) -> rulesets.RuleSet:
    """The newest versions of some rule sets, compiled over a study's space."""
    return load_versions(study, [rule_versions.newest(database, name) for name in sets])
