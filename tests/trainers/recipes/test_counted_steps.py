"""What a rule is told of a trial's steps before it runs, against what the trainer then tells of them."""

import contextlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from optimizer import remembered
from optimizer.forecast import readiness
from optimizer.study import resolved as studies
from trainers.contract import events, interruption, job, paths
from trainers.lora import sections

Make = Callable[..., job.TrainJob]
Run = Callable[..., Any]

#: folder -> sizes of its images
KOHYA = {"3_wide": [(128, 64), (96, 64)], "2_tall": [(64, 128), (64, 100), (64, 96)], "10_square": [(64, 64)]}
FLAT = {".": [(64, 64), (70, 64), (200, 64), (64, 300), (90, 90)]}
BUCKETS = {"enable_bucket": True, "bucket_reso_steps": 16}


def dataset(root: pathlib.Path, folders: dict[str, list[tuple[int, int]]]) -> pathlib.Path:
    for folder, sizes in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number, size in enumerate(sizes):
            Image.linear_gradient("L").resize(size).convert("RGB").save(root / folder / f"{number}.png")
            (root / folder / f"{number}.txt").write_text(f"picture {number} of {folder}")
    return root


class OnceTrained(interruption.Interruption):
    """As if SIGTERM came in the first step: what the trial was going to take has been told by then."""

    def __init__(self, file: pathlib.Path) -> None:
        self._file = file
        self.idle = False

    @property  # type: ignore[override]
    def requested(self) -> bool:
        return bool(self.told())

    def told(self) -> list[events.Event]:
        return [event for event in events.read(self._file)[0] if event.event == "train-started"]


CASES: list[tuple[dict[str, list[tuple[int, int]]], int, dict[str, Any]]] = [
    (KOHYA, 1, {"max_train_epochs": 2, "train_batch_size": 3}),
    (KOHYA, 2, {**BUCKETS, "train_batch_size": 4, "gradient_accumulation_steps": 2, "max_train_epochs": 3}),
    (KOHYA, 1, {**BUCKETS, "train_batch_size": 5, "lr_scheduler": "cosine", "lr_warmup_ratio": 0.07}),
    (KOHYA, 1, {**BUCKETS, "resolution": 48, "train_batch_size": 2, "max_train_samples": 77}),
    (
        FLAT,
        3,
        {**BUCKETS, "bucket_reso_steps": 8, "train_batch_size": 2, "lr_scheduler": "linear", "lr_warmup_steps": 9},
    ),
    (FLAT, 1, {"train_batch_size": 5, "gradient_accumulation_steps": 3, "max_train_epochs": 4}),
    (FLAT, 1, {**BUCKETS, "train_batch_size": 1, "max_train_steps": 11, "lr_warmup_steps": 4}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("folders", "repeats", "params"), CASES)
def test_rules_are_told_the_steps_that_the_trainer_takes(
    folders: dict[str, list[tuple[int, int]]],
    repeats: int,
    params: dict[str, Any],
    tmp_path: pathlib.Path,
    make_job: Make,
    run: Run,
) -> None:
    folder = dataset(tmp_path / "images", folders)
    fixed = {"learning_rate": 1e-3, "network_dim": 4, **params}
    document = {
        "study_version": 1,
        "name": "counted",
        "base": "demo",
        "dataset": {"path": str(folder), "repeats": repeats},
        "space": {"network_alpha": {"choices": [1.0, 2.0]}},
        "fixed": fixed,
        "objectives": {"clip_score": "maximize"},
        "evaluation": {"prompts": ["a cat"]},
    }
    study = studies.parse(json.dumps(document), "test")
    known = remembered.situation(study, readiness.inspect_dataset(study).showings).facts(fixed)
    images = sections.Dataset(path=str(folder), repeats=repeats)
    train_job = make_job(dataset=images)
    spec = train_job.trials[0].model_copy(update={"params": fixed})
    train_job = train_job.model_copy(update={"trials": (spec,)})
    asked = OnceTrained(paths.JobPaths(pathlib.Path(train_job.directory)).events)
    with contextlib.suppress(interruption.Interrupted):
        run(train_job, asked)
    (told,) = [event.data for event in asked.told()]
    assert (known["total_steps"], known["dataset.steps_per_epoch"]) == (told["total_steps"], told["steps_per_epoch"])
    assert known["warmup_share"] == told["warmup_steps"] / told["total_steps"]
    assert (known["effective_batch"], known["dataset.images"]) == (told["effective_batch"], told["images"])
