"""Pruners on curves of which the truth is known, for one objective and for several."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import optuna
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from constraints.names import world as worlds
from optimizer import attributes, errors
from optimizer.designs.search import pruning
from optimizer.running import pruning as live
from optimizer.study import resolved as studies
from optimizer.trials import scores
from storage import database, optuna_store
from tests.optimizer import searching
from trainers.contract import events
from trainers.data import counters
from trainers.lora import sections

State = optuna.trial.TrialState

EVERY, POINTS, PROMPTS = 8, 9, 4
PRUNERS = ("hyperband", "asha", "median", "wilcoxon")
OBJECTIVES: list[dict[str, worlds.Direction]] = [
    {"clip_score": "maximize"},
    {"clip_score": "minimize"},
    {"failure_rate": "minimize", "clip_score": "maximize"},
]
#: final scores of trials in the order in which they run; no two closer than what a test of 8 pairs can tell
QUALITIES = st.lists(st.integers(0, 50).map(lambda n: n / 50), min_size=4, max_size=14, unique=True)


def study(pruner: str, objectives: Mapping[str, worlds.Direction]) -> studies.Study:
    made = searching.study({"learning_rate": {"float": [0.0, 1.0]}}, objectives=dict(objectives))
    during = sections.During(every_samples=EVERY, prompts=PROMPTS)
    evaluation = made.evaluation.model_copy(update={"during": during, "prompts": ("a", "b", "c", "d")})
    search = made.search.model_copy(update={"pruner": pruner, "primary": "clip_score"})
    return made.model_copy(update={"evaluation": evaluation, "search": search})


def worker(of: studies.Study, storage: optuna.storages.BaseStorage) -> live.Pruning:
    opened = optuna.create_study(
        storage=storage, study_name=of.name, directions=list(of.objectives.values()), load_if_exists=True
    )
    pruner = pruning.make(of, EVERY * (POINTS + 1))
    rows = scores.TrialScores(lambda: opened.get_trials(deepcopy=False), storage, lambda: opened._study_id)
    return live.Pruning(of, pruner, rows)


def evaluated(point: int, metrics: Mapping[str, Any]) -> events.Event:
    data = {"step": point, "samples": point, "milestone": point, "metrics": metrics, "seconds": 0.1}
    return events.Event(0.0, 0, "evaluated", data)


def begin(of: live.Pruning, **attributes: Any) -> int:
    trial = optuna.trial.create_trial(state=State.RUNNING, user_attrs=attributes)
    optuna.load_study(study_name=of.study.name, storage=of.scores.storage).add_trial(trial)
    return len(of.scores.read()) - 1


def end(of: live.Pruning, number: int, score: float | None) -> None:
    values = None if score is None else [score if name == "clip_score" else 0.0 for name in of.study.objectives]
    trial_id = of.scores.read()[number]._trial_id
    of.scores.storage.set_trial_state_values(trial_id, State.PRUNED if values is None else State.COMPLETE, values)


def train(of: live.Pruning, quality: float, **attributes: Any) -> int | None:
    """Run a trial whose score goes from 0 to its quality; returns the point at which it was ended, or None.

    Curves do not cross: at each point the order of trials is the order at the end, for each of the prompts.
    """
    number = begin(of, **attributes)
    for point in range(EVERY, EVERY * (POINTS + 1), EVERY):
        score = quality * (1 - math.exp(-point / 20))
        by_prompt = [score * (1 + at / 10) for at in range(PROMPTS)]
        wish = of.look(number, evaluated(point, {"clip_score": score, "clip_score_by_prompt": by_prompt}))
        if wish is not None:
            assert wish == f"pruner:{of.study.search.pruner}"
            end(of, number, None)
            return point
    end(of, number, quality)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("objectives", OBJECTIVES, ids=str)
@pytest.mark.parametrize("pruner", PRUNERS)
@settings(max_examples=15)
@given(qualities=QUALITIES)
def test_the_best_trial_is_never_ended(
    pruner: str, objectives: dict[str, worlds.Direction], qualities: list[float]
) -> None:
    of = worker(study(pruner, objectives), optuna.storages.InMemoryStorage())
    ended = [train(of, quality) for quality in qualities]
    best = max if objectives["clip_score"] == "maximize" else min
    assert ended[qualities.index(best(qualities))] is None


@pytest.mark.slow
@pytest.mark.parametrize("objectives", OBJECTIVES, ids=str)
@settings(max_examples=15)
@example(qualities=[0.1, 0.5, 0.9, 0.4, 0.6, 0.95])
@given(qualities=QUALITIES)
def test_trials_worse_than_the_median_end_at_their_first_point_and_no_others(
    objectives: dict[str, worlds.Direction], qualities: list[float]
) -> None:
    of = worker(study("median", objectives), optuna.storages.InMemoryStorage())
    sign = 1 if objectives["clip_score"] == "maximize" else -1
    whole: list[float] = []
    for quality in qualities:
        median = float(np.median(whole)) if len(whole) >= pruning.LEAST_TRIALS else -sign * math.inf
        assume(abs(quality - median) > 1e-9)  # a tie is decided by rounding
        expected = EVERY if sign * quality < sign * median else None
        assert train(of, quality) == expected
        if expected is None:
            whole.append(quality)


@pytest.mark.parametrize("pruner", PRUNERS)
def test_bad_trials_end_early_after_good_ones(pruner: str) -> None:
    of = worker(study(pruner, OBJECTIVES[2]), optuna.storages.InMemoryStorage())
    ended = [train(of, quality) for quality in (0.9, 0.88, 0.92, *(0.3 + at / 100 for at in range(20)))]
    assert sum(point is not None for point in ended[3:]) >= 18


@pytest.mark.slow
@pytest.mark.parametrize("pruner", PRUNERS)
def test_two_workers_decide_as_one_would(pruner: str, database: database.Database) -> None:
    """On a real database, each with its own storage and pruner: what one notes with a trial the other reads."""
    of = study(pruner, OBJECTIVES[2])
    qualities = (np.random.default_rng(3).permutation(12) / 12).tolist()
    alone = worker(of, optuna.storages.InMemoryStorage())
    both = [worker(of, optuna_store.open_storage(database)) for _ in range(2)]
    expected = [train(alone, quality) for quality in qualities]
    assert [train(both[at % 2], quality) for at, quality in enumerate(qualities)] == expected
    assert any(expected)
    if pruner in ("asha", "hyperband"):
        rows = both[0].scores.read()
        assert any(key.startswith(f"{pruner}:completed_rung_") for row in rows for key in row.system_attrs)


@pytest.mark.parametrize("pruner", ["none", *PRUNERS])
def test_scores_show_as_curves_in_optuna(pruner: str) -> None:
    of = worker(study(pruner, OBJECTIVES[2]), optuna.storages.InMemoryStorage())
    assert train(of, 0.5) is None
    (trial,) = of.scores.read()
    assert list(trial.intermediate_values) == list(range(EVERY, EVERY * (POINTS + 1), EVERY))
    assert list(trial.intermediate_values.values()) == sorted(trial.intermediate_values.values())


@pytest.mark.parametrize("metrics", [{}, {"clip_score": None}, {"clip_score": math.nan}, {"clip_score": math.inf}])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_point_without_a_score_says_nothing(pruner: str, metrics: Mapping[str, Any]) -> None:
    of = worker(study(pruner, OBJECTIVES[2]), optuna.storages.InMemoryStorage())
    for quality in (0.9, 0.8, 0.7):
        train(of, quality)
    number = begin(of)
    assert of.look(number, evaluated(EVERY, metrics)) is None
    assert of.scores.read()[number].intermediate_values == {}


@pytest.mark.parametrize("by_prompt", [None, [], [0.1, None], [0.1, math.nan], "text"])
def test_prompts_without_scores_are_not_compared(by_prompt: Any) -> None:
    of = worker(study("wilcoxon", OBJECTIVES[0]), optuna.storages.InMemoryStorage())
    train(of, 0.9)
    number = begin(of)
    metrics = {"clip_score": 0.0, "clip_score_by_prompt": by_prompt}
    assert [of.look(number, evaluated(point, metrics)) for point in (8, 16, 24)] == [None] * 3


def test_without_a_pruner_scores_are_kept_and_no_trial_is_read() -> None:
    of = worker(study("none", OBJECTIVES[0]), optuna.storages.InMemoryStorage())
    number = begin(of)

    def read() -> NoReturn:
        raise AssertionError("the study was read")

    blind = dataclasses.replace(of, scores=dataclasses.replace(of.scores, read=read))
    assert blind.look(number, evaluated(EVERY, {"clip_score": 0.5})) is None
    assert of.scores.read()[number].intermediate_values == {EVERY: 0.5}


def test_other_events_are_none_of_a_pruner_s_business() -> None:
    of = worker(study("asha", OBJECTIVES[0]), optuna.storages.InMemoryStorage())
    assert of.look(begin(of), events.Event(0.0, 0, "step", {"step": 8})) is None


def test_a_repeat_is_never_ended() -> None:
    """Repeats are trained to learn how scores spread; ending the worse ones would make the mean too good."""
    of = worker(study("asha", OBJECTIVES[0]), optuna.storages.InMemoryStorage())
    train(of, 0.9)
    assert train(of, 0.1) == EVERY
    assert train(of, 0.1, **{attributes.REPEAT: 1}) is None


def test_a_trial_that_another_worker_has_told_is_left_alone() -> None:
    of = worker(study("asha", OBJECTIVES[0]), optuna.storages.InMemoryStorage())
    number = begin(of)
    end(of, number, 0.5)
    assert of.look(number, evaluated(EVERY, {"clip_score": 0.1})) is None


def test_a_point_that_is_told_again_after_a_resume_changes_nothing() -> None:
    of = worker(study("asha", OBJECTIVES[0]), optuna.storages.InMemoryStorage())
    train(of, 0.5)
    number = begin(of)
    told = [of.look(number, evaluated(EVERY, {"clip_score": 0.9})) for _ in range(3)]
    assert told == [None] * 3


def test_a_pruner_s_notes_are_not_another_s() -> None:
    """A study may change its pruner; the rungs of the one lie elsewhere than the other's."""
    storage = optuna.storages.InMemoryStorage()
    train(worker(study("asha", OBJECTIVES[0]), storage), 0.9)
    other = worker(study("hyperband", OBJECTIVES[0]), storage)
    mirror = pruning.mirrored(other.scores.read(), other.study)
    assert mirror.get_trials()[0].system_attrs == {}


def test_hyperband_copes_with_trials_shorter_than_one_point() -> None:
    of = worker(study("hyperband", OBJECTIVES[0]), optuna.storages.InMemoryStorage())
    short = dataclasses.replace(of, pruner=pruning.make(of.study, EVERY - 1))
    assert short.look(begin(short), evaluated(EVERY, {"clip_score": 0.1})) is None


def test_hyperband_without_a_longest_trial_says_what_to_give() -> None:
    with pytest.raises(errors.BadInput, match=r"search\.pruner: hyperband .*max_train_steps"):
        pruning.make(study("hyperband", OBJECTIVES[0]), None)


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        pytest.param({"max_train_epochs": 3, "train_batch_size": 4}, 60, id="20 images, 3 epochs"),
        pytest.param({"max_train_steps": 50, "train_batch_size": 4, "gradient_accumulation_steps": 2}, 400, id="steps"),
        pytest.param({}, 200, id="ten epochs where nothing says how long"),
    ],
)
def test_the_longest_trial_is_worked_out_in_samples(fixed: Mapping[str, int], expected: int | None) -> None:
    of = study("hyperband", OBJECTIVES[0]).model_copy(update={"fixed": fixed})
    assert pruning.most_samples(of, searching.SITUATION) == expected


def test_the_longest_trial_of_a_script_of_ones_own_is_known_by_what_it_is_told() -> None:
    situation = dataclasses.replace(searching.SITUATION, counter=counters.StepCounter(None))

    def most(**fixed: int) -> int | None:
        of = study("hyperband", OBJECTIVES[0]).model_copy(update={"fixed": fixed, "trainer": "command"})
        return pruning.most_samples(of, situation)

    assert most(max_train_steps=50, train_batch_size=4) == 200
    assert most(max_train_steps=50) is None
    assert most(max_train_epochs=3, train_batch_size=4) is None


def test_the_longest_of_several_lengths_counts() -> None:
    of = searching.study({"max_train_epochs": {"choices": [1, 7]}, "train_batch_size": {"choices": [1, 5]}})
    assert pruning.most_samples(of, searching.SITUATION) == 140


def names(sentences: Sequence[str | None]) -> list[str]:
    return [sentence.split(":")[0] for sentence in sentences if sentence is not None]


def test_what_a_pruner_will_do_is_said_in_a_sentence() -> None:
    said = [pruning.describe(study(pruner, OBJECTIVES[2]), 80) for pruner in ("none", *PRUNERS)]
    assert said[0] is None
    assert names(said) == list(PRUNERS)
    assert "after 8, 24, 72 samples" in str(said[2])
