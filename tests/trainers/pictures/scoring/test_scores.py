import dataclasses
from typing import Any

import hypothesis
import numpy
import pytest
import torch
from hypothesis import strategies
from hypothesis.extra import numpy as numpy_strategies
from PIL import Image

from trainers.contract import job
from trainers.lora import sections
from trainers.pictures import sampling
from trainers.pictures.scoring import clip, scorers, scores, symptoms


class Embedder:
    """Embeddings chosen by the test in place of a CLIP model's: by grey value of the picture, by text."""

    def __init__(self, by_grey: dict[int, list[float]], by_text: dict[str, list[float]]) -> None:
        self._by_grey, self._by_text = by_grey, by_text

    def images(self, images: list[Image.Image]) -> torch.Tensor:
        return torch.tensor([self._by_grey[image.getpixel((0, 0))[0]] for image in images])  # type: ignore[index]

    def texts(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([self._by_text[text] for text in texts])


def drawn(
    prompt: str, number: int, grey: int, *, held_out: bool = False, failure: str | None = None
) -> sampling.DrawnPicture:
    shot = sampling.Shot(prompt, number, 1, held_out, 1000 + number)
    return sampling.DrawnPicture(shot, Image.new("RGB", (2, 2), (grey,) * 3), failure)


SHOWN = [
    drawn("a", 0, 1),
    drawn("b", 1, 2, failure="black-images"),
    drawn("c", 0, 3, held_out=True),
]
EYES: Any = Embedder({1: [1.0, 0.0], 2: [0.6, 0.8], 3: [0.0, 1.0]}, {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [0.8, 0.6]})
SCORER = scorers.Scorers(EYES)
REFERENCES = scores.References(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "hash")


def test_each_picture_is_compared_with_its_own_prompt_and_all_training_images() -> None:
    cosines = scores.score(SCORER, SHOWN, REFERENCES)
    assert cosines.text == pytest.approx([1.0, 0.8, 0.6])
    assert cosines.subject == pytest.approx(numpy.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]))
    assert cosines.alike == pytest.approx((0.6 + 0.0 + 0.8) / 3)


def test_a_second_eye_has_an_opinion_of_its_own_on_the_subject() -> None:
    second: Any = Embedder({1: [0.0, 1.0], 2: [1.0, 0.0], 3: [1.0, 0.0]}, {})
    references = scores.References(REFERENCES.embeddings, "hash", dino=torch.tensor([[0.0, 1.0]]))
    cosines = scores.score(scorers.Scorers(EYES, second), SHOWN, references)
    assert scores.metrics(SHOWN, cosines, None)["subject_similarity_dino"] == pytest.approx(0.5)
    alone = scores.score(SCORER, SHOWN, REFERENCES)
    assert scores.metrics(SHOWN, alone, None)["subject_similarity_dino"] is None
    assert numpy.array_equal(cosines.subject, alone.subject)


def test_held_out_pictures_do_not_move_what_the_search_sees() -> None:
    cosines = scores.score(SCORER, SHOWN, REFERENCES)
    metrics = scores.metrics(SHOWN, cosines, numpy.array([0.5, 0.5, 0.5]))
    assert metrics["clip_score"] == pytest.approx(0.9)
    assert metrics["clip_score_gain"] == pytest.approx(0.4)
    assert metrics["held_out_clip_score"] == pytest.approx(0.6)
    assert metrics["held_out_clip_score_gain"] == pytest.approx(0.1)
    assert metrics["subject_similarity"] == pytest.approx((1.0 + 0.0 + 0.6 + 0.8) / 4)
    assert metrics["subject_similarity_max"] == pytest.approx(0.9)
    assert (metrics["failure_rate"], metrics["black_share"], metrics["flat_share"]) == (0.5, 0.5, 0.0)


def test_the_bootstrap_interval_holds_the_mean_and_narrows_with_more_pictures() -> None:
    values = numpy.random.default_rng(1).normal(0.5, 0.1, 400)
    low, high = scores.bootstrap(values[:20])
    assert low < values[:20].mean() < high
    closer = scores.bootstrap(values)
    assert closer[1] - closer[0] < (high - low) / 2
    assert scores.bootstrap(values) == closer


def test_the_bootstrap_interval_covers_as_often_as_it_says() -> None:
    generator = numpy.random.default_rng(2)
    hits = 0
    for _ in range(200):
        low, high = scores.bootstrap(generator.normal(0.0, 1.0, 32))
        hits += low < 0 < high
    assert 0.88 < hits / 200 < 0.98


def test_a_picture_that_lost_its_prompt_is_one_far_below_the_untrained_base_s() -> None:
    cosines = scores.score(SCORER, SHOWN, REFERENCES)  # 1.0, 0.8 and, held out, 0.6
    before = numpy.array([1.3, 1.3, 1.3])
    assert [each.failure for each in scores.off_prompt(SHOWN, cosines, before, None)] == [None, "black-images", None]
    judged = scores.off_prompt(SHOWN, cosines, before, 0.4)
    assert [each.failure for each in judged] == [None, "black-images", "off-prompt"]
    strict = scores.off_prompt(SHOWN, cosines, before, 0.2)
    assert [each.failure for each in strict] == ["off-prompt", "black-images", "off-prompt"]
    metrics = scores.metrics(strict, cosines, before)
    assert (metrics["failure_rate"], metrics["off_prompt_share"], metrics["black_share"]) == (1.0, 0.5, 0.5)


@hypothesis.given(
    numpy_strategies.arrays(float, 3, elements=strategies.floats(-1, 1)),
    strategies.floats(0, 2),
    strategies.floats(0, 2),
)
def test_a_wider_margin_never_finds_more_and_no_gain_is_ever_off_prompt(
    before: Any, margin: float, other: float
) -> None:
    text = numpy.array([0.3, -0.2, 0.8])
    cosines = scores.Scores(text, numpy.zeros((3, 1)), None)
    sound = [dataclasses.replace(each, failure=None) for each in SHOWN]
    found = [
        {number for number, each in enumerate(scores.off_prompt(sound, cosines, before, each)) if each.failure}
        for each in sorted((margin, other))
    ]
    assert found[1] <= found[0] <= set(numpy.flatnonzero(text < before))


def told(thresholds: job.Thresholds, **changes: Any) -> list[str]:
    sound = scores.Scores(numpy.array([0.5, 0.5]), numpy.array([[0.9, 0.2], [0.3, 0.999]]), 0.999)
    images = [{"path": "a.png", "failure": changes.get("failure")}, {"path": "b.png", "failure": None}]
    metrics = {"clip_score_gain": -0.2}
    return [symptom.kind for symptom in symptoms.found(metrics, images, sound, thresholds, 10)]


def test_collapse_copying_and_falling_below_the_base_are_found() -> None:
    assert told(job.Thresholds()) == ["collapse"]
    assert told(job.Thresholds(copying_similarity=0.99, below_base_margin=0.1, collapse_similarity=1.0)) == [
        "below-base",
        "copying",
    ]
    assert told(job.Thresholds(below_base_margin=0.3, collapse_similarity=1.0)) == []


def test_pictures_without_their_prompt_come_first_and_may_be_a_collapse() -> None:
    found = told(job.Thresholds(below_base_margin=0.1), failure="off-prompt")
    assert found == ["off-prompt", "below-base", "collapse"]


def test_broken_pictures_come_last_and_are_no_collapse() -> None:
    assert told(job.Thresholds(below_base_margin=0.1), failure="flat-images") == ["below-base", "flat-images"]


def test_the_demo_scorer_tells_matching_captions_from_others(tmp_path: Any) -> None:
    scorer = clip.load(sections.ClipModel(), torch.device("cpu"), tmp_path)
    red = Image.new("RGB", (64, 64), (220, 40, 40))
    red.paste((50, 80, 220), (16, 16, 48, 48))
    texts = scorer.texts(["a blue square on a red background", "a yellow star on a black background"])
    right, wrong = (scorer.images([red]) @ texts.T)[0].tolist()
    assert right > wrong + 0.3
    assert scorer.images([red]).norm(dim=1).item() == pytest.approx(1.0, abs=1e-5)
