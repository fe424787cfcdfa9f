"""Pictures as they are read back."""

from optimizer.results import pictures

TOLD = {"path": "a.png", "prompt": "a fish", "seed": 3, "noise_seed": 7, "clip_score": None, "failure": None}


def test_a_picture_is_what_the_trainer_told_and_where_it_is_kept() -> None:
    (found,) = pictures.drawn([{**TOLD, "artifact": "x"}])
    assert found == pictures.PictureRecord(path="a.png", prompt="a fish", seed=3, artifact="x")


def test_a_picture_that_a_trainer_of_one_s_own_tells_only_the_path_of_is_left_out() -> None:
    assert len(pictures.drawn([{"path": "b.png"}, TOLD, {"path": "c.png", "prompt": 3, "seed": "one"}])) == 1


def test_a_base_that_was_not_told_of_in_that_form_is_no_base() -> None:
    assert pictures.untrained(None) is None
    assert pictures.untrained({"metrics": {"clip_score": 0.2}, "images": 3}) is None
    found = pictures.untrained({"metrics": {"clip_score": 0.2}, "images": [TOLD], "seconds": 1.0})
    assert found == pictures.Untrained({"clip_score": 0.2}, [TOLD])
