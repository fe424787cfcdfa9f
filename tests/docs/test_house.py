"""The house keeps its measures: how many rooms stand on each other, how long a module is, who makes a worker."""

import functools
import itertools
import pathlib

import grimp
import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("constraints", "storage", "trainers", "optimizer")
MOST_ROOMS = 10
MOST_LINES = 350
MOST_LINES_OF_WIRING = 150

#: modules that may be longer, each a table or a recipe, and why it is better read in one piece
LONG = {
    "constraints/judging/compile.py": "the rule language in its compiled form, one case a node of its grammar",
}


@functools.cache
def imports(package: str) -> dict[str, set[str]]:
    """Module of a package -> the modules of that package that it imports."""
    graph = grimp.build_graph(package, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def longest_chain(package: str) -> tuple[str, ...]:
    """The most rooms (children of the package), each of which imports the next one."""
    above: dict[str, set[str]] = {}
    for module, imported in imports(package).items():
        for other in imported:
            rooms = [name.split(".")[1] for name in (module, other) if "." in name]
            if len(set(rooms)) == 2:
                above.setdefault(rooms[0], set()).add(rooms[1])

    @functools.cache
    def down(room: str) -> tuple[str, ...]:
        return max(((room, *down(below)) for below in above.get(room, ())), key=len, default=(room,))

    return max(map(down, above), key=len)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_more_than_ten_rooms_stand_one_above_the_other(package: str) -> None:
    chain = longest_chain(package)
    assert len(chain) <= MOST_ROOMS, " > ".join(chain)


def test_a_worker_is_put_together_in_one_short_place_that_few_ask() -> None:
    asking = {module for module, imported in imports("optimizer").items() if "optimizer.wiring" in imported}
    assert {module.split(".")[1] for module in asking} <= {"cli", "web", "session"}
    assert lines(CHECKOUT / "optimizer" / "wiring.py") <= MOST_LINES_OF_WIRING


def test_no_module_is_longer_than_a_person_reads_in_one_go() -> None:
    modules = itertools.chain.from_iterable((CHECKOUT / package).rglob("*.py") for package in PACKAGES)
    long = {path.relative_to(CHECKOUT).as_posix(): lines(path) for path in modules if lines(path) > MOST_LINES}
    assert long.keys() <= LONG.keys(), long


def lines(path: pathlib.Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
