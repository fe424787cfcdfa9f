import multiprocessing
import pathlib

import pytest
import torch

from trainers.files import cache, digests

Folder = pathlib.Path


def build_of(values: dict[int, float], seen: list[list[int]] | None = None) -> object:
    def build(missing: list[int]) -> list[dict[str, torch.Tensor]]:
        if seen is not None:
            seen.append(missing)
        return [{"value": torch.tensor([values[position]])} for position in missing]

    return build


def test_only_what_is_missing_is_built(tmp_path: Folder) -> None:
    store, seen = cache.TensorCache(tmp_path), list[list[int]]()
    store.fetch(["aa", "bb"], build_of({0: 1.0, 1: 2.0}, seen))  # type: ignore[arg-type]
    entries = store.fetch(["bb", "cc"], build_of({1: 3.0}, seen))  # type: ignore[arg-type]
    assert seen == [[0, 1], [1]]
    assert [entry["value"].item() for entry in entries] == [2.0, 3.0]


def test_a_damaged_entry_is_built_again(tmp_path: Folder) -> None:
    store = cache.TensorCache(tmp_path)
    store.fetch(["aa"], build_of({0: 1.0}))  # type: ignore[arg-type]
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    assert store.fetch(["aa"], build_of({0: 5.0}))[0]["value"].item() == 5.0  # type: ignore[arg-type]


def test_a_failing_build_leaves_nothing_behind(tmp_path: Folder) -> None:
    def fail(missing: list[int]) -> list[dict[str, torch.Tensor]]:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        cache.TensorCache(tmp_path).fetch(["aa"], fail)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_keys_follow_every_part() -> None:
    keys = {cache.key(a=1, b="x"), cache.key(a=2, b="x"), cache.key(a=1, b="y"), cache.key(a=1)}
    assert len(keys) == 4
    assert cache.key(b="x", a=1) in keys


def _build_slowly(folder: Folder, ready: object, builds: object) -> None:
    def build(missing: list[int]) -> list[dict[str, torch.Tensor]]:
        with builds.get_lock():  # type: ignore[attr-defined]
            builds.value += len(missing)  # type: ignore[attr-defined]
        return [{"value": torch.zeros(100_000)} for _ in missing]

    ready.wait()  # type: ignore[attr-defined]
    cache.TensorCache(folder).fetch([f"{number:02x}" for number in range(20)], build)


@pytest.mark.slow
def test_two_workers_build_each_entry_once(tmp_path: Folder) -> None:
    context = multiprocessing.get_context("spawn")
    ready, builds = context.Barrier(2), context.Value("i", 0)
    workers = [context.Process(target=_build_slowly, args=(tmp_path, ready, builds)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert builds.value == 20


def test_a_models_hash_follows_its_files(tmp_path: Folder) -> None:
    model = tmp_path / "model"
    (model / "unet").mkdir(parents=True)
    (model / "unet" / "weights.safetensors").write_bytes(b"one")
    before = digests.of_model(model, tmp_path / "cache")
    assert digests.of_model(model, tmp_path / "cache") == before
    (model / "unet" / "weights.safetensors").write_bytes(b"other")
    changed = digests.of_model(model, tmp_path / "cache")
    assert changed != before
    (model / "unet" / "weights.safetensors").rename(model / "weights.safetensors")
    assert digests.of_model(model, tmp_path / "cache") not in (before, changed)
