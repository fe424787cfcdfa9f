"""One data folder with a running Postgres for all flow tests; each test uses studies of its own name."""

from collections.abc import Iterator

import pytest

from storage.server import embedded
from tests.flow import place as places


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[places.Place]:
    folder = tmp_path_factory.mktemp("flow")
    there = places.Place(folder / "home", folder)
    there.home.mkdir()
    assert there.run("db", "up").returncode == 0
    yield there
    embedded.stop(there.home)
