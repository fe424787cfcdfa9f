"""What a study will take, as `study check` says it."""

import pytest

from optimizer.forecast import estimates, outlook
from optimizer.forecast import situation as situations
from optimizer.report import expected
from tests.optimizer import searching
from trainers.lora import sections

SPACE = {"network_dim": {"choices": [4, 1024]}, "max_train_epochs": {"choices": [1, 3]}}


def looked_at(gpu: situations.Gpu, *rules: dict[str, str], **search: object) -> outlook.Outlook:
    study = searching.study(SPACE, trials=10, **search)
    estimator = estimates.of(study, on_gpu=gpu.count > 0)
    situation = searching.situation(gpu, estimator=estimator)
    return outlook.outlook(study, searching.rules(study, *rules), situation)


def test_the_budget_is_counted_in_hours_over_the_points_that_the_rules_accept() -> None:
    every, short = (
        looked_at(situations.Gpu(2, 24.0)),
        looked_at(situations.Gpu(2, 24.0), {"refuse": "max_train_epochs == 3"}),
    )
    assert every.minutes is not None
    assert short.minutes is not None
    assert short.minutes < every.minutes
    assert (every.accepted_share, short.accepted_share) == (1.0, 0.5)
    assert every.hours == pytest.approx(10 * every.minutes / 60)
    assert "on 2 GPUs" in expected.render(every)


def test_refused_draws_that_use_the_budget_up_train_nothing() -> None:
    found = looked_at(situations.Gpu(1, 24.0), {"refuse": "max_train_epochs == 3"}, refusals="prune")
    assert found.trials == pytest.approx(5)


def test_a_gpu_that_is_too_small_for_some_trials_is_said_with_the_remedy() -> None:
    most = looked_at(situations.Gpu(1, 24.0)).vram_gb_most
    assert most is not None
    found = looked_at(situations.Gpu(1, most - 0.01))
    assert found.too_large_share == pytest.approx(0.5)
    assert "too few for 50% of the trials" in expected.render(found)
    assert "refuse: estimate.vram_gb > gpu.vram_gb - 1" in expected.render(found)


def test_a_rule_that_needs_a_gpu_where_there_is_none_is_named() -> None:
    found = looked_at(situations.Gpu(0, None), {"refuse": "estimate.vram_gb > gpu.vram_gb - 1"})
    assert found.undecided == ("rule-0",)
    assert "rule-0 cannot be decided on this machine" in expected.render(found)
    assert found.vram_gb is not None
    assert found.gpu_vram_gb is None


def test_it_says_that_nothing_is_calibrated_before_a_trial_has_finished() -> None:
    assert "not calibrated yet" in expected.render(looked_at(situations.Gpu(0, None)))


def watched(every_samples: int, **fixed: int) -> outlook.Outlook:
    study = searching.study(SPACE)
    evaluation = study.evaluation.model_copy(update={"during": sections.During(every_samples=every_samples, seeds=2)})
    study = study.model_copy(update={"evaluation": evaluation, "fixed": fixed})
    situation = searching.situation(estimator=estimates.of(study, on_gpu=False))
    return outlook.outlook(study, searching.rules(study), situation)


def test_evaluation_points_are_counted_and_charged() -> None:
    """20 images, 1 or 3 epochs: 19 or 59 samples before the last one; one prompt, two seeds."""
    found, none = watched(10), looked_at(situations.Gpu(0, None))
    assert found.milestones == outlook.MilestonesATrial(3.0, 5.0)
    assert "3.0 in the mean trial, 5 at most, 2 pictures at each" in expected.render(found)
    assert (none.milestones, none.milestone_pictures) == (None, 0)
    assert "milestones" not in expected.render(none)
    assert found.minutes is not None
    assert none.minutes is not None
    assert found.minutes > none.minutes


def test_trials_too_short_for_a_point_are_said() -> None:
    assert "no trial is so long" in expected.render(watched(1000))
