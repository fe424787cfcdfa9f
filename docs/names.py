"""The public names of the four packages, as their source says them: what the pages of names and modules are made of."""

import ast
import dataclasses
import itertools
import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("constraints", "storage", "trainers", "optimizer")


@dataclasses.dataclass(frozen=True)
class Module:
    """A module of the four packages."""

    name: str
    text: str
    tree: ast.Module

    @property
    def first_line(self) -> str:
        """What it says of itself."""
        return _first_line(self.tree)

    def types(self) -> Iterator[tuple[str, str]]:
        """The public classes and type aliases that it defines, each with what it is."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, _first_line(node)
            name = _alias(node)
            if name is not None:
                yield name, self._remark(node) or f"`{ast.unparse(getattr(node, 'value', node))}`".replace("'", "")

    def functions(self) -> Iterator[str]:
        """The public functions that it defines."""
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield node.name

    def _remark(self, node: ast.stmt) -> str:
        """The comment right above a statement."""
        above = reversed(self.text.splitlines()[: node.lineno - 1])
        lines = [
            line.removeprefix("#:").strip() for line in itertools.takewhile(lambda line: line.startswith("#:"), above)
        ]
        return " ".join(reversed(lines))


def modules(*packages: str) -> Iterator[Module]:
    """Each module of the packages, in the order of their files."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
            text = path.read_text(encoding="utf-8")
            yield Module(name, text, ast.parse(text))


def _first_line(node: ast.Module | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0]


def _alias(node: ast.stmt) -> str | None:
    """The type that an assignment names: in CamelCase, no constant in capitals, and none that stands for any type."""
    if "TypeVar(" in ast.unparse(node):
        return None
    target = (
        node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    )
    if not isinstance(target, ast.Name) or not target.id[0].isupper():
        return None
    return None if target.id.isupper() or "_" in target.id else target.id
