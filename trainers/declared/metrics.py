"""What each trainer tells of a finished trial, so that a study can be checked before one has run. Torch-free."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

from trainers.contract import job

#: whether an evaluation gives a metric what it needs
Needs: TypeAlias = Callable[[job.Evaluation], bool]


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number that a trainer tells of each trial; `condition` says in words what `is_told` asks of an evaluation."""

    name: str
    meaning: str
    condition: str = ""
    is_told: Needs = lambda _evaluation: True


def _with_held_out(name: str, meaning: str) -> Metric:
    return Metric(name, meaning, "evaluation.held_out has prompts", lambda evaluation: bool(evaluation.held_out))


def _several_prompts(evaluation: job.Evaluation) -> bool:
    return len({*evaluation.prompts, *evaluation.held_out}) > 1


_OWN = (
    Metric("clip_score", "mean cosine of a picture and its prompt"),
    Metric("clip_score_low", "low end of that mean's 95 % interval"),
    Metric("clip_score_high", "high end of that mean's 95 % interval"),
    Metric("clip_score_gain", "mean gain of the CLIP score over the untrained base"),
    Metric("clip_score_gain_low", "low end of that gain's 95 % interval"),
    Metric("clip_score_gain_high", "high end of that gain's 95 % interval"),
    Metric("subject_similarity", "mean cosine of pictures and training images"),
    Metric("subject_similarity_max", "the same to the nearest training image"),
    Metric(
        "subject_similarity_dino",
        "the same as the second eye sees it",
        "evaluation.dino names a model",
        lambda evaluation: evaluation.dino is not None,
    ),
    Metric("failure_rate", "share of broken pictures"),
    Metric("black_share", "share of black pictures"),
    Metric("flat_share", "share of pictures without structure"),
    Metric("saturated_share", "share of burnt out pictures"),
    Metric("nonfinite_share", "share of pictures with NaN or infinite values"),
    Metric("off_prompt_share", "share of pictures that lost their prompt; 0 unless off_prompt_margin is set"),
    Metric("prompt_similarity", "likeness of pictures of different prompts", "there are two prompts", _several_prompts),
    _with_held_out("held_out_clip_score", "CLIP score of the held-out prompts"),
    _with_held_out("held_out_clip_score_gain", "its gain over the untrained base"),
    Metric("vram_gb", "peak memory of the GPU in GiB; only where there is one"),
)

#: trainer -> what it tells by name; None where a user's own script tells what it likes
OF_TRAINER: Mapping[str, Mapping[str, Metric] | None] = {
    "diffusion-lora": {metric.name: metric for metric in _OWN},
    "sd-scripts": {metric.name: metric for metric in _OWN if metric.name != "vram_gb"},
    "command": None,
}


def table(trainer: str) -> Mapping[str, Metric] | None:
    """The metrics of a trainer by name; None where it may tell anything.

    Raises:
        KeyError: there is no such trainer; `trainers.declared.parameters.unknown_trainer` words it for people.
    """
    return OF_TRAINER[trainer]


def untold(trainer: str, name: str, evaluation: job.Evaluation) -> str | None:
    """Say what a study lacks for a known metric to be told, or None where it is told."""
    known = table(trainer)
    metric = None if known is None else known.get(name)
    if metric is None or metric.is_told(evaluation):
        return None
    return f"{name} is told only where {metric.condition}"
