"""What is told of a finished trial that was drawn with and scored by CLIP. Torch-free."""

from trainers.lora import sections
from trainers.terms import metrics
from trainers.terms.metrics import Metric


def _has_held_out(evaluation: sections.Evaluation) -> bool:
    return bool(evaluation.held_out)


def _with_held_out(name: str, meaning: str) -> Metric:
    return Metric(name, meaning, "evaluation.held_out has prompts", _has_held_out)


def _several_prompts(evaluation: sections.Evaluation) -> bool:
    return len({*evaluation.prompts, *evaluation.held_out}) > 1


#: by name; `vram_gb` is told only by a process that trains itself
TABLE = metrics.table(
    Metric("clip_score", "mean cosine of a picture and its prompt", by_instance=True),
    Metric("clip_score_low", "low end of that mean's 95 % interval"),
    Metric("clip_score_high", "high end of that mean's 95 % interval"),
    Metric("clip_score_gain", "mean gain of the CLIP score over the untrained base"),
    Metric("clip_score_gain_low", "low end of that gain's 95 % interval"),
    Metric("clip_score_gain_high", "high end of that gain's 95 % interval"),
    Metric("subject_similarity", "mean cosine of pictures and training images"),
    Metric("subject_similarity_max", "the same to the nearest training image"),
    Metric(
        "subject_similarity_dino",
        "the same as the second scorer sees it",
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

#: signals of milestones, beside those of steps
SIGNALS = {
    "clip_score": "CLIP score of the latest samples",
    "clip_score_gain": "CLIP score of the latest samples beyond the untrained base's of the same noise",
    "failure_rate": "share of broken images in the latest samples, 0 to 1",
    "black_share": "share of black images in the latest samples, 0 to 1",
    "flat_share": "share of flat images in the latest samples, 0 to 1",
    "saturated_share": "share of burnt out images in the latest samples, 0 to 1",
    "nonfinite_share": "share of images with NaN or infinite values in the latest samples, 0 to 1",
    "off_prompt_share": "share of images that lost their prompt in the latest samples, 0 to 1",
}
