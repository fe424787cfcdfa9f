"""What is wrong with a trial's pictures as a whole: the failures that training alone could not show."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainers.contract import failures, job
from trainers.pictures.scoring import scores
from trainers.training import health


def found(
    metrics: Mapping[str, Any],
    images: Sequence[Mapping[str, Any]],
    cosines: scores.Scores,
    thresholds: job.Thresholds,
    step: int,
) -> Iterator[health.Symptom]:
    """Every failure of the drawn pictures, each with the pictures or numbers that show it; the gravest comes last.

    Broken pictures are alike by nature, so they are never called a collapse as well; those that lost their prompt are.

    Args:
        images: the records of the `scored` event.
        step: the last training step.
    """
    yield from _of_pictures(images, ["off-prompt"], step)
    gain = metrics["clip_score_gain"]
    if thresholds.below_base_margin is not None and gain < -thresholds.below_base_margin:
        message = f"the CLIP score is {-gain:.4f} below the untrained base's"
        yield health.Symptom("below-base", step, message, {"clip_score_gain": gain})
    closest = cosines.subject.max(axis=1)
    copied = [str(image["path"]) for image, near in zip(images, closest, strict=True) if near > copy_limit(thresholds)]
    if copied:
        message = f"{len(copied)} of {len(images)} images repeat a training image"
        yield health.Symptom("copying", step, message, {"images": copied, "similarity": float(closest.max())})
    broken = {image["failure"] for image in images} - {None, "off-prompt"}
    if not broken and cosines.alike is not None and cosines.alike > thresholds.collapse_similarity:
        message = f"pictures of different prompts are alike: mean CLIP similarity {cosines.alike:.4f}"
        yield health.Symptom("collapse", step, message, {"prompt_similarity": cosines.alike})
    kinds = dict.fromkeys(image["failure"] for image in images)
    yield from _of_pictures(images, [kind for kind in kinds if kind in broken], step)


def _of_pictures(images: Sequence[Mapping[str, Any]], kinds: Sequence[str], step: int) -> Iterator[health.Symptom]:
    for kind in kinds:
        shown = [str(image["path"]) for image in images if image["failure"] == kind]
        if shown:
            message = f"{len(shown)} of {len(images)} {failures.KINDS[kind].meaning}"
            yield health.Symptom(kind, step, message, {"images": shown})


def copy_limit(thresholds: job.Thresholds) -> float:
    """The similarity above which a picture is a copy; rounding can lift a cosine above 1, where the check is off."""
    return thresholds.copying_similarity if thresholds.copying_similarity < 1 else float("inf")
