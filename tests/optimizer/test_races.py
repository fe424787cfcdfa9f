"""Workers that claim and tell at once on a real database: no point and no repeat is trained twice."""

import pathlib
import textwrap
import threading
from typing import Any

import optuna
import pytest

from optimizer import attributes, opening, settings, wiring
from optimizer.designs import design
from optimizer.running import launch
from optimizer.study import resolved as studies
from optimizer.trials import claims
from optimizer.trials import conclusion as conclusions
from storage import database as databases
from storage import rule_versions

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
POINTS, TRIALS = 240, 200
RULES = "rules_version: 1\nname: racing\nrules:\n  - {id: low, refuse: network_dim < LEAST, because: A test.}\n"


def document(folder: pathlib.Path, **search: Any) -> studies.Study:
    """A study of 240 points."""
    (folder / "rules.yaml").write_text(RULES.replace("LEAST", "2"), encoding="utf-8")
    wishes = ", ".join(f"{name}: {value}" for name, value in search.items())
    text = f"""\
        study_version: 1
        name: race
        base: demo
        dataset: {CHECKOUT / "examples" / "quickstart" / "dataset"}
        space:
          network_dim: {{int: [1, 61]}}
          lr_scheduler: {{choices: [cosine, linear, constant, polynomial]}}
        rules: [rules.yaml]
        objectives: {{clip_score: maximize}}
        search: {{seed: 3, {wishes}}}
        evaluation: {{prompts: [a prompt]}}
        """
    path = folder / "study.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return studies.read(path)


class Race:
    """Workers in threads, each with connections of its own."""

    def __init__(self, url: str, home: pathlib.Path, study: studies.Study) -> None:
        self._url, self._home, self._study = url, home, study
        self.claims: list[claims.Claim] = []
        self.errors: list[BaseException] = []

    def run(self, workers: int) -> list[optuna.trial.FrozenTrial]:
        together = threading.Barrier(workers)
        threads = [threading.Thread(target=self._work, args=(together,)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.errors == []
        return optuna.load_study(study_name="race", storage=self._url).trials

    def _work(self, together: threading.Barrier) -> None:
        try:
            environment = {"TUNEGUARD_HOME": str(self._home), "TUNEGUARD_DATABASE_URL": self._url}
            services = opening.services(settings.read(environment))
            campaign = wiring.open_worker(services, self._study, launch.Device(None, 1))
            together.wait()
            while not isinstance(claim := campaign.proposer.claim(), claims.Nothing):
                assert isinstance(claim, claims.Claim)
                self.claims.append(claim)
                value = claim.params["network_dim"] / POINTS
                ending = conclusions.Conclusion(
                    conclusions.Ending.USABLE, values=(value,), constraints={attributes.TRAINING: 0.0}
                )
                campaign.teller.settle(claim, ending)
            services.database.close()
        except BaseException as error:
            self.errors.append(error)
            together.abort()


def trained(claims: list[claims.Claim]) -> list[tuple[Any, ...]]:
    return [(*sorted(claim.params.items()), claim.seed) for claim in claims]


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "workers"), [("random", 2), ("random", 8), ("tpe", 8)])
def test_workers_that_race_train_no_point_twice(
    database: databases.Database, home: pathlib.Path, tmp_path: pathlib.Path, sampler: str, workers: int
) -> None:
    race = Race(database.url, home, document(tmp_path, sampler=sampler, trials=TRIALS))
    trials = race.run(workers)
    assert len(trials) == len(race.claims) == TRIALS
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == TRIALS


@pytest.mark.slow
def test_workers_that_race_train_no_repeat_twice(
    database: databases.Database, home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    race = Race(database.url, home, document(tmp_path, sampler="random", trials=60, repeats=3))
    trials = race.run(8)
    assert len(trials) == 60
    assert len(set(trained(race.claims))) == 60
    per_point: dict[tuple[Any, ...], list[int]] = {}
    for trial in trials:
        per_point.setdefault(tuple(sorted(trial.params.items())), []).append(attributes.repeat_of(trial.user_attrs))
    assert all(sorted(repeats) == list(range(len(repeats))) for repeats in per_point.values())
    assert max(map(len, per_point.values())) == 3


@pytest.mark.slow
def test_workers_that_race_for_the_last_points_take_each_once_and_end(
    database: databases.Database, home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    race = Race(database.url, home, document(tmp_path, sampler="random", trials=1000))
    trials = race.run(4)
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == len(trials) == POINTS


def test_a_point_that_newer_rules_refuse_meanwhile_is_drawn_again(
    database: databases.Database, home: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"TUNEGUARD_HOME": str(home), "TUNEGUARD_DATABASE_URL": database.url}
    services = opening.services(settings.read(environment))
    study = document(tmp_path, sampler="random", trials=10)
    campaign = wiring.open_worker(services, study, launch.Device(None, 1))
    proposing = campaign.proposer.design.next

    def propose_slowly() -> design.Proposal | design.Exhausted:
        drawn = proposing()
        with database.transaction() as connection:  # a person pushes a version while this worker draws
            rule_versions.push(connection, "racing", RULES.replace("LEAST", "61"))
        return drawn

    monkeypatch.setattr(campaign.proposer.design, "next", propose_slowly)
    claim = campaign.proposer.claim()
    assert isinstance(claim, claims.Claim)
    assert claim.params["network_dim"] == 61
    (trial,) = optuna.load_study(study_name="race", storage=database.url).trials
    assert trial.user_attrs[attributes.RULE_VERSION] == "racing@2"
