"""What `study show` prints: a trial a line at every width, and nothing cut."""

import pytest

from optimizer import errors
from optimizer.report import overview, summary
from tests.optimizer import recorded

NAMES = ("learning_rate", "network_dim", "lr_scheduler", "gradient_accumulation_steps", "a_name_of_one_s_own")


def several(count: int = 6) -> overview.Overview:
    trials = [
        recorded.trial(
            number,
            params={
                "learning_rate": 1.2345e-4 * (number + 1),
                "network_dim": 8,
                "lr_scheduler": ("constant_with_warmup", "cosine")[number % 2],
                "gradient_accumulation_steps": 1 + number % 3,
                "a_name_of_one_s_own": number / 7,
            },
            metrics={"clip_score": 0.3, "clip_score_gain": 0.1 - 0.01 * number, "subject_similarity": 0.4},
        )
        for number in range(count - 1)
    ]
    trials.append(recorded.stopped(count - 1))
    return overview.Overview(
        "six", {"clip_score": "maximize", "failure_rate": "minimize"}, NAMES, trials, 45, {"high": 40, "low": 30}
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200, None])
def test_a_trial_is_one_line_that_fits_at_every_width(width: int | None) -> None:
    shown = several()
    lines = shown.render(shown.trials, width).splitlines()
    assert width is None or max(map(len, lines)) <= width
    for record in shown.trials:
        assert sum(line.split()[:2] == [str(record.number), record.state] for line in lines) == 1


def test_a_narrow_terminal_names_what_it_leaves_out_and_cuts_no_name() -> None:
    shown = several()
    text = " ".join(shown.render(shown.trials, 60).split())
    assert "…" not in text
    assert "lr_scheduler" in text.partition("no room for")[2]
    assert "trial 5 is unusable: stop rule too-loud at step 10 of 80" in text
    words = {word for name in NAMES for word in name.split("_")} | {"lr", "dim", "accum", "scheduler"}
    heads = shown.render(shown.trials, 60).split("trial  state")[0].splitlines()[-1].split()
    assert set(heads) <= words | {"clip", "score", "failure", "rate"}


def test_a_pipe_gets_every_column_under_its_full_name_on_one_line() -> None:
    shown = several()
    head = next(line for line in shown.render(shown.trials, None).splitlines() if line.startswith("trial"))
    differing = [name for name in NAMES if name != "network_dim"]
    assert head.split() == [
        "trial", "state", "clip_score", *differing, "failure_rate", "gain", "subject_similarity", "seconds", "why",
    ]  # fmt: skip


def test_what_is_the_same_in_all_trials_is_said_once() -> None:
    shown = several()
    text = shown.render(shown.trials, 80)
    assert text.count("network_dim") == 1
    assert "the same in all of them: network_dim 8" in text


def test_what_differs_most_finds_room_first() -> None:
    shown = several()
    text = shown.render(shown.trials, 40)
    assert " lr" in text.split("no room for")[0]


def test_refusals_that_add_up_to_more_than_the_points_are_explained() -> None:
    shown = several()
    assert "45 points refused before training (a point may break several rules): high 40, low 30" in shown.render(
        [], None
    )


def test_a_person_chooses_and_orders_trials() -> None:
    shown = several()

    def numbers(**asked: object) -> list[int]:
        usual = {"state": None, "sort": None, "reverse": False, "last": None}
        return [record.number for record in overview.choose(shown, **{**usual, **asked})]  # type: ignore[arg-type]

    assert numbers(state="unusable") == [5]
    assert numbers(last=2) == [4, 5]
    assert numbers(sort="gain") == [0, 1, 2, 3, 4, 5]
    assert numbers(sort="clip_score", reverse=True) == [5, 0, 1, 2, 3, 4]
    assert numbers(sort="learning_rate") == [0, 1, 2, 3, 5, 4]
    with pytest.raises(errors.BadInput, match="no trial has it; there are clip_score"):
        numbers(sort="clip_scroe")


def test_the_untrained_base_is_compared_and_subject_similarity_is_said() -> None:
    metrics = {
        "clip_score": 0.3, "clip_score_gain": 0.18, "clip_score_gain_low": 0.15, "clip_score_gain_high": 0.21,
        "subject_similarity": 0.4658,
    }  # fmt: skip
    said = summary.of(recorded.trial(0, metrics=metrics))
    assert "gain +0.18 over the untrained base (95 % interval +0.15 to +0.21)" in said
    assert "subject_similarity 0.4658" in said


def test_a_parameter_that_no_listed_trial_has_takes_no_column() -> None:
    shown = overview.Overview("one", {"clip_score": "maximize"}, ("learning_rate", "d_coef"), [recorded.trial(0)])
    assert "d_coef" not in shown.render(shown.trials, None)


def test_a_study_without_trials_is_said_to_have_none() -> None:
    empty = overview.Overview("new", {"clip_score": "maximize"}, NAMES, [])
    assert empty.render([], 80) == "new: 0 trials (none yet); maximize clip_score"
