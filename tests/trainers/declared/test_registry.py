"""A trainer's name is known in one place, and what is declared of it holds together."""

import ast
import json
import pathlib
from collections.abc import Iterator

import pydantic
import pytest

from trainers import recipes
from trainers.declared import registry

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: sd-scripts is also the name of a form of files, that which its own scripts read
FORMS = {"optimizer/cli/study/export.py", "optimizer/exporting.py", "optimizer/results/export.py"}
#: where its recipe and the declaration itself may say the name
OWN = ("trainers/declared/", "trainers/recipes/")


def texts(path: pathlib.Path) -> Iterator[str]:
    """Every text of a module but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


@pytest.mark.slow
def test_a_trainer_s_name_stands_in_its_declaration_alone() -> None:
    names = set(registry.declarations())
    found = {
        (path.relative_to(ROOT).as_posix(), text)
        for package in ("constraints", "storage", "trainers", "optimizer")
        for path in (ROOT / package).rglob("*.py")
        for text in texts(path)
        if text in names
    }
    elsewhere = {where for where, _ in found if not where.startswith(OWN)}
    assert elsewhere <= FORMS


def test_nothing_asks_which_trainer_a_study_names() -> None:
    """Comparisons with the name are how it came to be known everywhere."""
    for path in (ROOT / "optimizer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                compared = [part for part in (node.left, *node.comparators) if isinstance(part, ast.Attribute)]
                assert "trainer" not in [part.attr for part in compared], f"{path}:{node.lineno}"


@pytest.mark.parametrize("name", registry.declarations())
def test_what_stands_in_for_a_section_can_be_written_and_trained(name: str, tmp_path: pathlib.Path) -> None:
    for section in (registry.of(name).dataset, registry.of(name).evaluation):
        written = pydantic.TypeAdapter(section.written).validate_json(json.dumps(section.stands_in))
        resolved = section.resolve(written, tmp_path)
        assert resolved.is_whole
        model = section.model.model_validate_json(json.dumps(resolved.document))
        assert section.model.model_validate(model.model_dump()) == model


@pytest.mark.parametrize("name", registry.declarations())
def test_its_recipe_is_there_and_what_it_needs_is_a_parameter(name: str) -> None:
    declared = registry.of(name)
    assert declared.name == name
    assert callable(recipes.load(name).run)
    assert declared.needs.keys() <= declared.parameters.keys()


def test_the_usual_trainer_stands_for_one_that_is_not_there() -> None:
    assert registry.looked_at("diffusion_lora") is registry.DEFAULT
    assert registry.looked_at(7) is registry.DEFAULT
    assert "none of" in (registry.unknown("nobody") or "")
