"""The shipped demo models: small enough for the repository, and as good as their card says."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODELS = ROOT / "examples" / "demo"


def test_base_and_judge_together_are_at_most_12_megabytes() -> None:
    files = [file for part in ("base", "clip") for file in (MODELS / part).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12e6


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the model libraries warn about themselves while they load
def test_the_judge_sees_the_right_shape_in_127_of_128_plain_captions() -> None:
    from benchmarks.demo_models import measure

    models = measure.load(MODELS)
    subjects = measure.plain_subjects()
    drawn = models.draw([subject.caption() for subject in subjects], first_seed=1000)
    assert measure.recognised(models, subjects, drawn)["kind"] >= 127


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_judge_is_right_on_all_real_drawings_of_plain_captions() -> None:
    import random

    from benchmarks.demo_models import measure

    models = measure.load(MODELS)
    subjects = measure.plain_subjects()
    real = [subject.picture(random.Random(index)) for index, subject in enumerate(subjects)]
    assert measure.recognised(models, subjects, real) == {"kind": 128, "color": 128, "background": 128}
