"""One word, one thing: public names are held to docs/reference/glossary.md."""

import ast
import collections
import functools
import importlib
import pathlib
import re
from collections.abc import Iterator

import click
import pytest

from docs import names
from optimizer import cli
from storage import tables

PAGES = pathlib.Path(__file__).parents[2] / "docs/reference"
#: words so broad that they say nothing alone: what kind, whose source, the state of what?
NEVER_ALONE = {"Kind", "Source", "State", "Role", "Status", "Entry", "Row", "Facts", "Result"}


@functools.cache
def modules() -> tuple[names.Module, ...]:
    """Each module of the four packages."""
    return tuple(names.modules(*names.PACKAGES))


def public() -> Iterator[tuple[str, str]]:
    """(module, class or type) of everything public in the four packages."""
    for module in modules():
        yield from ((module.name, name) for name, _ in module.types())


def words(name: str) -> list[str]:
    """The words of a name: TrialRecord and trial_record are trial, record."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


def singular(name: str) -> list[str]:
    """The words of a name, without the plural's s."""
    return [word.removesuffix("s") for word in words(name)]


def entries() -> Iterator[tuple[list[str], str, list[str]]]:
    """Of each line of the glossary: its words, what they mean, and the words that are not used for it."""
    for line in (PAGES / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] not in ("word", "---"):
            yield cells[0].lower().split(", "), cells[1], [word for word in cells[2].split(", ") if word]


def known() -> set[str]:
    """Every word that the glossary explains: its entries, and what it sets in italics within one."""
    found = {word for said, _, _ in entries() for word in said}
    return found | {each.lower() for _, meaning, _ in entries() for each in re.findall(r"\*([^*]+)\*", meaning)}


def test_no_word_has_two_entries() -> None:
    counted = collections.Counter(word for said, _, _ in entries() for word in said)

    assert [word for word, count in counted.items() if count > 1] == []


def test_no_public_name_is_defined_twice() -> None:
    where = collections.defaultdict(list)
    for module, name in public():
        where[name].append(module)

    assert {name: found for name, found in where.items() if len(found) > 1} == {}


def test_no_broad_word_stands_alone() -> None:
    assert [f"{module}.{name}" for module, name in public() if name in NEVER_ALONE] == []


def test_what_several_public_names_are_is_in_the_glossary() -> None:
    """`TrialRecord` and `Record` are both records: a noun that is shared has to mean one thing."""
    shared = collections.defaultdict(set)
    for module, name in public():
        shared[words(name)[-1].removesuffix("s")].add(f"{module}.{name}")
    explained = {word.split()[-1].removesuffix("s") for word in known()}

    assert {noun: sorted(found) for noun, found in shared.items() if len(found) > 1 and noun not in explained} == {}


def options() -> Iterator[str]:
    """Every option and argument of the command line."""

    def walk(command: click.Command, path: str) -> Iterator[str]:
        yield from (f"{path} --{parameter.name}" for parameter in command.params)
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                yield from walk(inner, f"{path} {name}")

    for name in cli.COMMANDS:
        yield from walk(importlib.import_module(f"optimizer.cli.{name}").command, name)


def json_keys() -> Iterator[str]:
    """Every field that docs/reference/json.md and events.md name; tests hold both pages to what is printed and told."""
    for page in ("json", "events"):
        for line in (PAGES / f"{page}.md").read_text(encoding="utf-8").splitlines():
            if line.startswith("|"):
                yield from (f"{page} {key}" for key in re.findall(r"`([a-z_]+)`", line))


def everything() -> Iterator[str]:
    """All names that people meet: modules, classes, functions, options, fields of JSON, columns of tables."""
    for module in modules():
        if "migrations" not in module.name:
            yield module.name
            yield from (f"{module.name} {name}" for name, _ in module.types())
            yield from (f"{module.name} {name}" for name in module.functions())
    yield from options()
    yield from json_keys()
    for table in tables.metadata.tables.values():
        yield from (f"{table.name} {column.name}" for column in table.columns)


def test_no_name_says_a_word_that_the_glossary_keeps_out() -> None:
    meaning_something_else = {word for said, _, _ in entries() for word in said}
    kept_out = {word: said[0] for said, _, others in entries() for word in others if word not in meaning_something_else}
    last = {name: words(name.rpartition(" ")[2].rpartition(".")[2]) for name in everything()}
    found = {
        name: [f"{word}: say {kept_out[word]}" for word in said if word in kept_out] for name, said in last.items()
    }

    assert {name: said for name, said in found.items() if said} == {}


#: whose word a word is: what it means there is nobody else's business
HOMES = {
    "judge": ("constraints", "optimizer"),
    "verdict": ("constraints", "optimizer"),
    "scorer": ("trainers", "optimizer"),
    "lease": ("storage", "optimizer"),
    "proposal": ("optimizer",),
    "shot": ("trainers",),
}


@pytest.mark.parametrize("word", HOMES)
def test_a_word_that_has_a_home_is_used_nowhere_else(word: str) -> None:
    homes = HOMES[word]
    inside = (name for name in everything() if name.split(".")[0].split(" ")[0] in names.PACKAGES)
    strangers = [name for name in inside if word in singular(name.replace(".", "_").replace(" ", "_"))]

    assert [name for name in strangers if not name.startswith(homes)] == []


def aliases(module: names.Module) -> Iterator[tuple[str, str]]:
    """(module of ours, the other name that it has here) of every import that renames one."""
    ours = {each.name for each in modules()}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            for each in node.names:
                if each.asname and f"{node.module}.{each.name}" in ours:
                    yield f"{node.module}.{each.name}", each.asname


def stem(word: str) -> str:
    """What singular and plural share: study and studies are stud."""
    return re.sub(r"(y|ies|es|s)$", "", word.replace("_", ""))


def test_a_module_keeps_its_word_when_it_is_imported_under_another_name() -> None:
    """`resolved as studies`, of the room `study`, and `records as trial_records`; but no `conclusion as score`."""
    strange = [
        f"{each.name}: {module} as {alias}"
        for each in modules()
        for module, alias in aliases(each)
        if not any(stem(word) in alias.replace("_", "") for word in module.split(".")[-2:])
    ]

    assert strange == []
