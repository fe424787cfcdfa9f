"""A data set as kohya's sd-scripts reads it: what it would see otherwise is written out anew."""

import pathlib

import pytest
from PIL import Image

from trainers.data import dataset
from trainers.kohya import images
from trainers.lora import sections


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two images that sd-scripts reads as we do."""
    root = tmp_path / "data"
    (root / "3_cat").mkdir(parents=True)
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (20, 10), colour).save(root / "3_cat" / f"{name}.png")
        (root / "3_cat" / f"{name}.txt").write_text(f"a {colour} cat\n", encoding="utf-8")
    return root


def pictures(root: pathlib.Path) -> tuple[dataset.TrainingImage, ...]:
    return dataset.inspect(sections.Dataset(path=str(root), repeats=2)).pictures


def as_sd_scripts_reads(folders: list[images.Folder]) -> dict[str, tuple[tuple[int, int], object, int]]:
    """Caption -> size, first pixel and repeats, read as its `read_caption`, `glob_images` and `load_image` do."""
    found = {}
    for folder in folders:
        for path in folder.path.iterdir():
            if path.suffix == ".txt":
                continue
            lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines(keepends=True)
            assert lines, "sd-scripts stops at an empty file"
            with Image.open(path) as image:
                plain = image.convert("RGB")
            found[lines[0].strip()] = (plain.size, plain.getpixel((0, 0)), folder.repeats)
    return found


def test_a_data_set_that_it_reads_as_we_do_stays_where_it_is(folder: pathlib.Path) -> None:
    found = pictures(folder)
    assert images.differences(found) == []
    assert images.as_they_lie(found) == [images.Folder(folder / "3_cat", 6)]


def test_folders_of_other_repeats_are_apart(folder: pathlib.Path) -> None:
    Image.new("RGB", (20, 10)).save(folder / "alone.png")
    (folder / "alone.txt").write_text("a cat", encoding="utf-8")
    assert images.as_they_lie(pictures(folder)) == [images.Folder(folder, 2), images.Folder(folder / "3_cat", 6)]


def test_captions_of_several_lines_are_seen_and_written_in_one(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (folder / "3_cat" / "a.txt").write_text("a red cat\nin a garden\n", encoding="utf-8")
    found = pictures(folder)
    (reason,) = images.differences(found)
    assert "first line" in reason
    assert "a.png" in reason
    read = as_sd_scripts_reads(images.write(found, tmp_path / "written", link=True))
    assert read["a red cat in a garden"] == ((20, 10), (255, 0, 0), 6)
    assert read["a blue cat"] == ((20, 10), (0, 0, 255), 6)


def test_images_are_written_upright(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (20, 10), "green").save(folder / "3_cat" / "c.jpg", exif=turned)
    (folder / "3_cat" / "c.txt").write_text("a green cat", encoding="utf-8")
    found = pictures(folder)
    assert "EXIF" in images.differences(found)[0]
    assert as_sd_scripts_reads(images.write(found, tmp_path / "written", link=True))["a green cat"][0] == (10, 20)


def test_images_it_would_train_beside_ours_and_stale_caches_are_seen(folder: pathlib.Path) -> None:
    found = pictures(folder)
    Image.new("RGB", (8, 8)).save(folder / "3_cat" / "later.png")
    (folder / "3_cat" / "a_0020x0010_sd.npz").touch()
    assert len(images.differences(found)) == 2


def test_what_was_written_is_taken_again_and_never_half(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found = pictures(folder)
    first = images.write(found, tmp_path / "written", link=False)
    before = sorted(tmp_path.rglob("*"))
    assert images.write(found, tmp_path / "written", link=False) == first
    assert sorted(tmp_path.rglob("*")) == before
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
