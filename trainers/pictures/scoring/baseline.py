"""The untrained base's pictures and scores: computed once for each base, scorer and evaluation, then remembered."""

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import filelock
import numpy

from trainers.bases import models
from trainers.contract import job, paths
from trainers.files import cache
from trainers.lora import sections
from trainers.pictures import sampling
from trainers.pictures.scoring import scorers, scores


@dataclasses.dataclass(frozen=True)
class BaselineScores:
    """What the base scores without a LoRA. `text` (pictures,) is in the order of `sampling.shots`."""

    metrics: Mapping[str, Any]
    images: Sequence[Mapping[str, Any]]

    @property
    def text(self) -> scores.Array:
        return numpy.array([image["clip_score"] for image in self.images])


def measure(
    base: models.Base,
    scorer: scorers.Scorers,
    train_job: job.TrainJob,
    evaluation: sections.Evaluation,
    references: scores.References,
    check: Callable[[], None],
) -> BaselineScores:
    """The base's scores for an evaluation, drawn now or read from the job's cache.

    The base must carry no LoRA.

    Raises:
        OSError: the disk is full or failed.
    """
    entry = cache.key(
        base=base.sha256,
        precision=str(base.unet.dtype),
        scorer=scorer.identity,
        evaluation=evaluation.model_dump(mode="json", exclude={"during"}),
        thresholds=train_job.thresholds.model_dump(mode="json"),
        dataset=references.dataset_hash,
    )
    folder = pathlib.Path(train_job.cache) / "baseline"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if not (folder / entry).is_dir():
            drawn = sampling.draw(base, evaluation, train_job.thresholds, check)
            _build(scorer, references, drawn, folder / entry)
    content = json.loads((folder / entry / "scores.json").read_text(encoding="utf-8"))
    images = [{**image, "path": str(folder / entry / image["path"])} for image in content["images"]]
    return BaselineScores(content["metrics"], images)


def _build(
    scorer: scorers.Scorers,
    references: scores.References,
    drawn: Sequence[sampling.DrawnPicture],
    folder: pathlib.Path,
) -> None:
    cosines = scores.score(scorer, drawn, references)
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    files = sampling.save(drawn, paths.TrialPaths(unfinished))
    content = {
        "metrics": scores.metrics(drawn, cosines, None),
        "images": scores.records(drawn, cosines, [file.relative_to(unfinished) for file in files]),
    }
    (unfinished / "scores.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(unfinished, folder)
