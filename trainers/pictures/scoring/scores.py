"""From embeddings to numbers: how close the pictures are to their texts and to the subject, and how sure that is."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import torch
from PIL import Image

from trainers.data import dataset
from trainers.pictures import sampling
from trainers.pictures.scoring import scorers

Array = numpy.typing.NDArray[numpy.float64]

#: resamples behind a bootstrap interval
_RESAMPLES = 2000
_SHARES = {
    "black_share": ("black-images",),
    "flat_share": ("flat-images",),
    "saturated_share": ("saturated-images",),
    "nonfinite_share": ("nonfinite-latents", "nonfinite-pixels"),
    "off_prompt_share": ("off-prompt",),
}


@dataclasses.dataclass(frozen=True)
class Scores:
    """Cosines of an evaluation's pictures.

    `text` (pictures,) to their own prompt; `subject` (pictures, training images); `alike` the mean between pictures
    of different prompts, None with one prompt; `subject_dino` as `subject`, None without a second scorer.
    """

    text: Array
    subject: Array
    alike: float | None
    subject_dino: Array | None = None


@dataclasses.dataclass(frozen=True)
class References:
    """The training images as the scorers see them: unit-length `embeddings` (images, dimensions) of each."""

    embeddings: torch.Tensor
    dataset_hash: str
    dino: torch.Tensor | None = None


def references(scorer: scorers.Scorers, facts: dataset.DatasetFacts) -> References:
    """Embed the training images."""
    images = [picture.image() for picture in facts.pictures]
    second = None if scorer.second is None else scorer.second.images(images)
    return References(scorer.clip.images(images), facts.hash, second)


def score(scorer: scorers.Scorers, drawn: Sequence[sampling.DrawnPicture], references: References) -> Scores:
    """Compare pictures with their prompts and with the training images."""
    images = [each.image for each in drawn]
    pictures = scorer.clip.images(images)
    prompts = list(dict.fromkeys(each.shot.prompt for each in drawn))
    texts = scorer.clip.texts(prompts)[[prompts.index(each.shot.prompt) for each in drawn]]
    numbers = numpy.array([prompts.index(each.shot.prompt) for each in drawn])
    different = numbers[:, None] != numbers[None, :]
    between = (pictures @ pictures.T).numpy()
    return Scores(
        text=(pictures * texts).sum(dim=1).double().numpy(),
        subject=(pictures @ references.embeddings.T).double().numpy(),
        alike=float(between[different].mean()) if different.any() else None,
        subject_dino=_second_opinion(scorer, images, references),
    )


def _second_opinion(scorer: scorers.Scorers, images: Sequence[Image.Image], references: References) -> Array | None:
    if scorer.second is None or references.dino is None:
        return None
    cosines: Array = (scorer.second.images(images) @ references.dino.T).double().numpy()
    return cosines


def off_prompt(
    drawn: Sequence[sampling.DrawnPicture], scores: Scores, baseline: Array, margin: float | None
) -> list[sampling.DrawnPicture]:
    """The pictures, with the failure `off-prompt` on those that no longer show what their prompt says.

    Noise that became a picture of the prompt without any training must not become another one by training. A picture
    with a failure of its own keeps that.

    Args:
        baseline: the untrained base's `text` for the same pictures.
        margin: how far below it a picture may be; None marks nothing.
    """
    limit = float("inf") if margin is None else margin
    return [
        each if each.failure or before - text <= limit else dataclasses.replace(each, failure="off-prompt")
        for each, text, before in zip(drawn, scores.text, baseline, strict=True)
    ]


def metrics(drawn: Sequence[sampling.DrawnPicture], scores: Scores, baseline: Array | None) -> dict[str, Any]:
    """What a trial reports. Everything but `held_out_*` is over the prompts that the search may see.

    Args:
        baseline: the untrained base's `text` for the same pictures, for the paired gain; None for the base itself.
    """
    seen = numpy.array([not each.shot.held_out for each in drawn])
    chosen = [each for each in drawn if not each.shot.held_out]
    text, subject = scores.text[seen], scores.subject[seen]
    low, high = bootstrap(text)
    values: dict[str, Any] = {
        "clip_score": float(text.mean()),
        "clip_score_low": low,
        "clip_score_high": high,
        "clip_score_by_seed": _means(text, [each.shot.seed for each in chosen]),
        "clip_score_by_prompt": _means(text, [each.shot.number for each in chosen]),
        "subject_similarity": float(subject.mean()),
        "subject_similarity_max": float(subject.max(axis=1).mean()),
        "subject_similarity_dino": None if scores.subject_dino is None else float(scores.subject_dino[seen].mean()),
        "failure_rate": _share(chosen, None),
        **{name: _share(chosen, kinds) for name, kinds in _SHARES.items()},
        "prompt_similarity": scores.alike,
        "held_out_clip_score": None if seen.all() else float(scores.text[~seen].mean()),
    }
    if baseline is not None:
        gain = text - baseline[seen]
        low, high = bootstrap(gain)
        values |= {"clip_score_gain": float(gain.mean()), "clip_score_gain_low": low, "clip_score_gain_high": high}
        values["held_out_clip_score_gain"] = None if seen.all() else float((scores.text - baseline)[~seen].mean())
    return values


def bootstrap(values: Array, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean over pictures (Efron 1979), from a fixed seed."""
    generator = numpy.random.default_rng(seed)
    rows = generator.integers(0, len(values), size=(_RESAMPLES, len(values)))
    low, high = numpy.percentile(values[rows].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def records(drawn: Sequence[sampling.DrawnPicture], scores: Scores, files: Sequence[Any]) -> list[Mapping[str, Any]]:
    """One record a picture, as the `scored` and `baseline` events carry them."""
    return [
        {
            "path": str(file),
            "prompt": each.shot.prompt,
            "seed": each.shot.seed,
            "noise_seed": each.shot.noise_seed,
            "held_out": each.shot.held_out,
            "clip_score": float(text),
            "subject_similarity": float(subject.mean()),
            "failure": each.failure,
        }
        for each, text, subject, file in zip(drawn, scores.text, scores.subject, files, strict=True)
    ]


def _means(values: Array, labels: Sequence[int]) -> list[float]:
    groups: dict[int, list[float]] = collections.defaultdict(list)
    for label, value in zip(labels, values, strict=True):
        groups[label].append(float(value))
    return [float(numpy.mean(group)) for group in groups.values()]


def _share(drawn: Sequence[sampling.DrawnPicture], kinds: Sequence[str] | None) -> float:
    failed = [each for each in drawn if each.failure is not None and (kinds is None or each.failure in kinds)]
    return len(failed) / len(drawn)
