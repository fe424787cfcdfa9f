"""A study that is deleted takes its files with it, and one that is made under its name begins with nothing."""

import pathlib

import pytest

from tests.flow import place as places
from tests.flow import scripted

pytestmark = pytest.mark.slow


def test_a_study_made_under_the_name_of_a_deleted_one_reads_nothing_of_it(place: places.Place) -> None:
    for gain, dims, deletion in ((0.9, 1000, ("--yes", "--keep-files")), (0.1, 10, ("--yes",))):
        done = place.run("study", "run", scripted.study(place, "again", gain=gain, dims=dims))
        assert done.returncode == 0, done.stderr
        shown = place.json("study", "show", "again")["trials"]
        assert [trial["values"] for trial in shown] == [{"gain": gain}] * 2
        best = pathlib.Path(place.json("study", "best", "again")["lora"])
        assert best.is_file()
        done = place.run("study", "delete", "again", *deletion)
        assert done.returncode == 0, done.stderr
        assert "2 LoRAs" in done.stdout
        assert best.is_file() == ("--keep-files" in deletion)
    # what was kept is the first one's, and lies where its name is found
    (kept,) = (place.home / "runs").glob("again-*")
    assert len(list(kept.rglob("lora.safetensors"))) == 2
