"""What a search may propose: what the rules accept and the trainer can train."""

import numpy as np
import pytest

from optimizer import attributes, errors
from optimizer.designs import judgement
from optimizer.study import space as spaces
from tests.optimizer import searching

#: half of the decades lie below the end of the polynomial schedule
SPACE = {
    "learning_rate": {"float": [1e-9, 1e-5], "log": True},
    "lr_scheduler": {"choices": ["polynomial", "cosine"]},
}


def test_a_point_that_the_trainer_contradicts_is_refused_with_its_words() -> None:
    search = searching.search(searching.study(SPACE))
    verdict = search.admission.judge({"learning_rate": 5e-8, "lr_scheduler": "polynomial"})
    assert verdict.verdict == "refused"
    assert verdict.refused_by == (judgement.UNTRAINABLE,)
    assert "the trainer cannot train this: learning_rate: 5e-08" in verdict.undecided[judgement.UNTRAINABLE]
    assert not search.admission.judge({"learning_rate": 5e-8, "lr_scheduler": "cosine"}).refused_by


def test_a_table_of_points_weighs_as_each_is_judged() -> None:
    search = searching.search(searching.study(SPACE), {"refuse": "learning_rate > 1e-6"})
    points = [
        {"learning_rate": float(rate), "lr_scheduler": scheduler}
        for rate in np.geomspace(1e-9, 1e-5, 40)
        for scheduler in ("polynomial", "cosine")
    ]
    weights = search.admission.weigh(spaces.columns(points, search.admission.study.space))
    assert [weight > 0 for weight in weights] == [not search.admission.judge(point).refused_by for point in points]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_no_draw_is_a_point_that_the_trainer_contradicts(sampler: str) -> None:
    search = searching.search(searching.study(SPACE, sampler=sampler, startup_trials=2))
    trials = searching.Trials(search)
    for _ in range(30):
        drawn = searching.drawn(search)
        assert drawn.params is not None
        assert drawn.params["learning_rate"] > 1e-7 or drawn.params["lr_scheduler"] == "cosine"
        # the worse, the nearer to what cannot be trained: the sampler is drawn there
        trials.add(drawn.params, [-drawn.params["learning_rate"]], drawn.notes, constraints={attributes.TRAINING: 0.0})
        trials.look()


def test_a_space_without_a_point_that_can_be_trained_is_infeasible() -> None:
    space = {"learning_rate": {"choices": [1e-8, 2e-8]}, "lr_scheduler": {"choices": ["polynomial"]}}
    with pytest.raises(errors.NothingFeasible):
        searching.drawn(searching.search(searching.study(space)))
