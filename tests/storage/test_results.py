import dataclasses

import pytest

from storage import database as db
from storage import errors, leases, results, studies
from tests.storage import holding


@pytest.fixture
def lease(database: db.Database) -> leases.Lease:
    study = holding.study(database, "kitten")
    taken = holding.take(database, study.id, 4, "ada")
    assert taken is not None
    return taken


def record(database: db.Database, lease: leases.Lease, made: results.TrialResult) -> None:
    with holding.telling(database, lease) as connection:
        results.record(connection, lease, made)


def result(**changes: object) -> results.TrialResult:
    made = results.TrialResult(4, "usable", {"clip_score": 0.31}, [{"prompt": 0, "seed": 1, "artifact": "a"}])
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_a_result_comes_back_as_it_was_recorded(database: db.Database, lease: leases.Lease) -> None:
    version = holding.push(database, "set", "text")
    failure = {"kind": "black-images", "step": None, "message": "3 of 4 images are black"}
    whole = result(
        rule_version_ids=[version.id, 7], failure=failure, lora_path="/runs/lora.safetensors", lora_sha256="0" * 64
    )
    record(database, lease, whole)
    (kept,) = results.listed(database, lease.study_id)
    assert kept.recorded_at is not None
    assert dataclasses.replace(kept, recorded_at=None) == whole


def test_a_later_result_takes_the_place_of_the_earlier(database: db.Database, lease: leases.Lease) -> None:
    record(database, lease, result(ending="unusable", failure={"kind": "copying"}))
    again = holding.take(database, lease.study_id, 4, "ada")
    assert again is not None
    record(database, again, result(metrics={"clip_score": float("nan")}))
    (kept,) = results.listed(database, lease.study_id)
    assert (kept.ending, kept.failure, kept.metrics) == ("usable", None, {"clip_score": None})


def test_only_the_holder_records(database: db.Database, lease: leases.Lease) -> None:
    leases.release(database, lease)
    heir = holding.take(database, lease.study_id, 4, "bob")
    assert heir is not None
    record(database, heir, result())
    with pytest.raises(errors.LeaseLost):
        record(database, lease, result(ending="unusable"))
    assert [kept.ending for kept in results.listed(database, lease.study_id)] == ["usable"]


def test_telling_and_recording_are_one_or_nothing(database: db.Database, lease: leases.Lease) -> None:
    with pytest.raises(RuntimeError), holding.telling(database, lease) as connection:  # noqa: PT012
        results.record(connection, lease, result())
        raise RuntimeError("Optuna did not take it")
    assert results.listed(database, lease.study_id) == []
    assert holding.is_held(database, lease)


def test_deleting_the_study_deletes_what_hangs_on_it(database: db.Database, lease: leases.Lease) -> None:
    record(database, lease, result())
    studies.delete(database, lease.study_id)
    assert results.listed(database, lease.study_id) == []
    assert not holding.is_held(database, lease)
