"""The docs are true: generated pages are current, YAML loads, links live, every command has help with an example."""

import importlib
import pathlib
import re

import click
import pytest

from constraints.rules import rulefile
from constraints.text import document
from docs import generate
from optimizer import cli
from optimizer.study import resolved as study

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("*.md")])
#: the generated pages as they should be
GENERATED = generate.pages()


@pytest.mark.parametrize("page", list(GENERATED), ids=lambda page: page.name)
def test_a_generated_page_is_current(page: pathlib.Path) -> None:
    assert page.read_text(encoding="utf-8") == GENERATED[page], "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_between_pages_live(page: pathlib.Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def blocks() -> list[pytest.param]:  # type: ignore[valid-type]
    """Every YAML block of the docs that is a whole study or rule file."""
    found = []
    for page in PAGES:
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)):
            for kind in ("study_version", "rules_version"):
                if block.startswith(f"{kind}:"):
                    found.append(pytest.param(kind, block, id=f"{page.relative_to(CHECKOUT)}-{number}"))
    return found


@pytest.mark.parametrize(("kind", "block"), blocks())
def test_yaml_in_the_docs_is_read(kind: str, block: str) -> None:
    read = document.parse(block, "docs.yaml")
    if kind == "study_version":
        assert not study.resolve(read, pathlib.Path("/")).problems
    else:
        rulefile.read(read)


def commands() -> list[tuple[str, click.Command]]:
    found = []
    for name in cli.COMMANDS:
        command = importlib.import_module(f"optimizer.cli.{name}").command
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", leaf) for inner, leaf in command.commands.items()]
    return found


@pytest.mark.parametrize(("path", "command"), commands(), ids=[path for path, _ in commands()])
def test_every_command_says_what_it_does_and_what_its_options_mean(path: str, command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts[0]}"


def test_no_page_names_a_path_of_somebody_s_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/(root|home/[a-z]+|work)/", page.read_text(encoding="utf-8")), page.name
