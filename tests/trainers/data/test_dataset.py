import io
import json
import pathlib
import tarfile

import pytest
from PIL import Image

from trainers.contract import errors
from trainers.data import dataset
from trainers.lora import sections


def picture(path: pathlib.Path, caption: str | None = "a cat", size: tuple[int, int] = (8, 6), shade: int = 9) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 0, 0)).save(path)
    if caption is not None:
        path.with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")


def inspect(path: pathlib.Path, **fields: int) -> dataset.DatasetFacts:
    return dataset.inspect(sections.Dataset(path=str(path), **fields))  # type: ignore[arg-type]


def test_a_folder_of_images_and_captions_is_read(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "one.png", "a  cat\non a mat")
    picture(tmp_path / "two.JPG", "a dog", shade=20)
    facts = inspect(tmp_path, repeats=3)
    assert [(each.caption, each.width, each.height) for each in facts.pictures] == [
        ("a cat on a mat", 8, 6),
        ("a dog", 8, 6),
    ]
    assert (facts.images, facts.captions, facts.samples_per_epoch) == (2, 2, 6)


def test_kohya_folders_carry_their_repeats(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "10_cat" / "one.png")
    picture(tmp_path / "2_dog" / "two.png", "a dog")
    picture(tmp_path / "notes" / "three.png", "not read")
    facts = inspect(tmp_path, repeats=2)
    assert [each.repeats for each in facts.pictures] == [20, 4]


def test_metadata_lines_give_captions(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "one.png", None)
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "one.png", "text": "a fish"}) + "\n")
    assert inspect(tmp_path).pictures[0].caption == "a fish"


def test_every_problem_is_named_in_one_error(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "bare.png", None)
    picture(tmp_path / "fine.png")
    picture(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "text.txt").write_text("a caption")
    with pytest.raises(errors.DatasetError) as caught:
        inspect(tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("bare.png: caption missing" in line for line in lines)
    assert any("cut.png: image cannot be read" in line for line in lines)
    assert any("text.png: image cannot be read" in line for line in lines)


def test_metadata_that_names_a_missing_image_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "gone.png", "text": "a"}\nnonsense\n')
    with pytest.raises(errors.DatasetError) as caught:
        inspect(tmp_path)
    assert "names gone.png, which is not there" in str(caught.value)
    assert "metadata.jsonl:2: expected" in str(caught.value)


@pytest.mark.parametrize("path", ["missing", "empty"])
def test_a_missing_or_empty_folder_is_an_error(tmp_path: pathlib.Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.DatasetError, match=path):
        inspect(tmp_path / path)


def test_the_hash_follows_content_not_names(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "a" / "one.png")
    picture(tmp_path / "b" / "other.png")
    picture(tmp_path / "c" / "one.png", "a dog")
    picture(tmp_path / "d" / "one.png", shade=10)
    hashes = [inspect(tmp_path / name).hash for name in "abcd"]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_an_edited_image_is_read_again(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "one.png", size=(8, 8))
    before = inspect(tmp_path).hash
    picture(tmp_path / "one.png", size=(9, 8))
    assert inspect(tmp_path).hash != before


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def test_shards_hold_images_beside_their_captions(tmp_path: pathlib.Path) -> None:
    picture(tmp_path / "a.png", "a cat")
    picture(tmp_path / "b.png", "a dog", shade=90)
    loose = inspect(tmp_path)
    sharded = tmp_path / "shards"
    sharded.mkdir()
    with tarfile.open(sharded / "000.tar", "w") as shard:
        add(shard, "./x.txt", b"a cat")
        add(shard, "./x.png", (tmp_path / "a.png").read_bytes())
        add(shard, "./x.json", b"{}")
    with tarfile.open(sharded / "001.tar", "w") as shard:
        add(shard, "y.png", (tmp_path / "b.png").read_bytes())
        add(shard, "y.txt", b"a dog")
    facts = inspect(sharded)
    assert facts.hash == loose.hash
    assert [each.image().getpixel((0, 0)) for each in facts.pictures] == [(9, 0, 0), (90, 0, 0)]


def test_every_problem_in_shards_is_named(tmp_path: pathlib.Path) -> None:
    with tarfile.open(tmp_path / "000.tar", "w") as shard:
        add(shard, "torn.png", b"no image")
        add(shard, "torn.txt", b"a cat")
        add(shard, "bare.png", b"no image")
    (tmp_path / "001.tar").write_bytes(b"no shard at all")
    with pytest.raises(errors.DatasetError) as caught:
        inspect(tmp_path)
    said = str(caught.value)
    assert "000.tar: torn.png: image cannot be read" in said
    assert "000.tar: bare.png: caption missing" in said
    assert "001.tar: shard cannot be read" in said
