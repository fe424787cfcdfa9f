"""Claims on a real database: one trial one worker, budgets kept, enqueued points judged, repeats, no trial twice."""

import dataclasses
import pathlib
import textwrap
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
import sqlalchemy

from optimizer import attributes, errors, jsonable, opening, patience, settings, wiring
from optimizer.designs import judgement
from optimizer.designs.search import search as searches
from optimizer.results import reading, records, repeats
from optimizer.running import launch
from optimizer.running import worker as workers_
from optimizer.study import resolved as studies
from optimizer.trials import beginning, claims, duplicates
from optimizer.trials import conclusion as conclusions
from optimizer.trials import rows as trial_rows
from storage import artifacts, database, judgements, optuna_store, refusals, workers
from storage import attempts as stored_attempts
from storage import errors as storage_errors
from tests.optimizer.designs import cells
from tests.storage import holding
from trainers.lora import settings as lora_settings

State = optuna.trial.TrialState
CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
RULES = """\
rules_version: 1
name: propose-rules
rules:
  - id: high-rate
    refuse: learning_rate > 0.004
    because: A test.
"""


@dataclasses.dataclass
class Place:
    """Opens campaigns on one study: each call is another worker."""

    services: opening.Services
    folder: pathlib.Path

    def study(self, **search: Any) -> studies.Study:
        (self.folder / "rules.yaml").write_text(RULES, encoding="utf-8")
        wishes = ", ".join(f"{name}: {value}" for name, value in search.items())
        text = f"""\
            study_version: 1
            name: proposed
            base: demo
            dataset: {CHECKOUT / "examples" / "quickstart" / "dataset"}
            space:
              learning_rate: {{float: [1.0e-3, 2.0e-2], log: true}}
              network_dim: {{choices: [4, 8]}}
              lr_scheduler: {{choices: [cosine, cosine_with_restarts]}}
              lr_scheduler_num_cycles: {{int: [1, 3], when: lr_scheduler == "cosine_with_restarts"}}
            rules: [rules.yaml]
            objectives: {{clip_score: maximize}}
            search: {{seed: 3, {wishes}}}
            evaluation: {{prompts: [a prompt]}}
            """
        path = self.folder / "study.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return studies.read(path)

    def open(self, study: studies.Study) -> workers_.Worker:
        fresh = dataclasses.replace(self.services, optuna_storage=optuna_store.open_storage(self.services.database))
        return wiring.open_worker(fresh, study, launch.Device(None, 1))


def recorded(place: Place, campaign: workers_.Worker) -> list[records.TrialRecord]:
    return reading.trial_records(place.services.database, campaign.attempts.study)


@pytest.fixture
def place(database: database.Database, home: pathlib.Path, tmp_path: pathlib.Path) -> Place:
    storage = optuna_store.open_storage(database)
    read = settings.read({"TUNEGUARD_HOME": str(home)})
    return Place(opening.Services(read, database, storage, artifacts.open_store(home)), tmp_path)


def claimed(campaign: workers_.Worker) -> claims.Claim:
    found = campaign.proposer.claim()
    assert isinstance(found, claims.Claim)
    return found


def search_of(worker: workers_.Worker) -> searches.Search:
    assert isinstance(worker.proposer.design, searches.Search)
    return worker.proposer.design


def trials(campaign: workers_.Worker) -> list[optuna.trial.FrozenTrial]:
    """What plain Optuna sees."""
    return optuna.load_study(study_name="proposed", storage=campaign.rows.database.url).trials


def enqueue(campaign: workers_.Worker, params: Mapping[str, Any]) -> None:
    """As a person does in optuna-dashboard or a notebook."""
    optuna.load_study(study_name="proposed", storage=campaign.rows.database.url).enqueue_trial(dict(params))


def finish(campaign: workers_.Worker, claim: claims.Claim, value: float | None) -> None:
    """Tell a claim as if it had been trained; None: it came to nothing usable."""
    if value is None:
        ending = conclusions.Conclusion(conclusions.Ending.UNUSABLE, constraints={attributes.TRAINING: 1.0})
    else:
        ending = conclusions.Conclusion(
            conclusions.Ending.USABLE, values=(value,), constraints={attributes.TRAINING: 0.0}
        )
    campaign.teller.settle(claim, ending)


def stop_early(campaign: workers_.Worker, claim: claims.Claim) -> None:
    """Tell a claim as if a pruner had ended it at step 20 of 160, at the score of 0.4."""
    row = trials(campaign)[claim.number]
    campaign.rows.optuna.set_trial_intermediate_value(row._trial_id, 64, 0.4)
    ending = conclusions.Conclusion(
        conclusions.Ending.STOPPED_EARLY,
        constraints={attributes.TRAINING: 0.0},
        stopped_by="pruner:asha",
        steps=20,
        total_steps=160,
    )
    campaign.teller.settle(claim, ending)


def test_a_claim_is_one_running_row_with_its_parameters_and_a_lease(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    claim = claimed(campaign)
    (trial,) = trials(campaign)
    assert trial.state is optuna.trial.TrialState.RUNNING
    assert trial.number == claim.number == 0
    assert trial.params == claim.params
    assert trial.user_attrs[attributes.RULE_VERSION] == "propose-rules@1"
    with campaign.rows.claiming() as writing:
        assert writing.lease(0) is None


def test_an_attempt_reads_nothing_of_a_folder_that_is_there_already(place: Place) -> None:
    campaign = place.open(place.study(trials=1))
    claim = claimed(campaign)
    left = campaign.attempts.settings.run_directory(campaign.rows.stored.folder, claim.number) / "attempt-1"
    left.mkdir(parents=True)
    device = launch.Device(None, 1)
    trainer = launch.TrainerProcess(device, "command", left / "console.log", 1)
    waiting = patience.Patience(campaign.rows.database, 0, lambda: False)
    with pytest.raises(errors.BadInput, match="attempt-1: is there already"):
        dataclasses.replace(campaign.attempts, launcher=trainer).run(claim, waiting)


@pytest.mark.slow
def test_workers_share_a_budget_and_never_a_trial(place: Place) -> None:
    study = place.study(trials=5)
    workers = [place.open(study) for _ in range(3)]
    numbers = []
    for turn in range(12):
        found = workers[turn % 3].proposer.claim()
        if isinstance(found, claims.Claim):
            numbers.append(found.number)
    assert numbers == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_budget_that_another_spends_while_a_point_is_drawn_is_not_overdrawn(place: Place) -> None:
    study = place.study(trials=1)
    first, second = place.open(study), place.open(study)
    second.proposer.look()
    second.proposer.look = lambda: None  # type: ignore[method-assign]  # what it knows is from before the other's claim
    assert claimed(first).number == 0
    assert isinstance(second.proposer.claim(), claims.Nothing)
    assert len(trials(first)) == 1


@pytest.mark.slow
def test_workers_that_join_an_empty_study_draw_different_points(place: Place) -> None:
    study = place.study(trials=8)
    points = [tuple(claimed(place.open(study)).params.items()) for _ in range(4)]
    assert len(set(points)) == 4


def test_an_interrupted_trial_is_taken_up_by_the_next_worker(place: Place) -> None:
    study = place.study(trials=1)
    first, second = place.open(study), place.open(study)
    claim = claimed(first)
    assert isinstance(second.proposer.claim(), claims.Nothing)
    first.rows.release(claim.lease)
    again = claimed(second)
    assert again.taken_up
    assert (again.number, again.params, again.seed) == (claim.number, claim.params, claim.seed)


def judged(campaign: workers_.Worker, number: int) -> list[judgements.Judgement]:
    return [kept.judgement for kept in judgements.listed(campaign.rows.database, campaign.rows.study_id, number)]


def test_each_trial_keeps_why_it_may_run_with_all_rule_versions_in_force(place: Place) -> None:
    campaign = place.open(place.study(trials=4, repeats=2, start="[{learning_rate: 0.002}]"))
    for origin in ("enqueued", "repeat", "sampled"):
        claim = claimed(campaign)
        finish(campaign, claim, 0.5)
        (why,) = judged(campaign, claim.number)
        assert (why.origin, why.weight, why.refused_by) == (origin, 1.0, ())
        assert why.rule_version_ids == campaign.proposer.standing.book.version_ids
        assert why.margins["high-rate"] <= 0
        assert why.facts["dataset.images"] == 16


@pytest.mark.slow
def test_a_trial_that_is_taken_up_under_newer_rules_is_judged_again_and_goes_on(place: Place) -> None:
    study = place.study(trials=1)
    first, second, third = place.open(study), place.open(study), place.open(study)
    claim = claimed(first)
    first.rows.release(claim.lease)
    again = claimed(second)
    assert [why.origin for why in judged(second, 0)] == ["sampled"]
    second.rows.release(again.lease)
    newer = holding.push(second.rows.database, "propose-rules", RULES.replace("> 0.004", "> 0.0001"))
    assert claimed(third).params == claim.params
    assert [why.origin for why in judged(third, 0)] == ["sampled", "taken-up"]
    why = judged(third, 0)[-1]
    assert (why.rule_version_ids, why.refused_by) == ((newer.id,), ("high-rate",))


def test_a_proposal_takes_no_statement_more_for_its_judgement(place: Place) -> None:
    campaign, said = place.open(place.study(trials=3)), list[str]()
    claimed(campaign)
    engine = campaign.rows.database.engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    claimed(campaign)
    writes = [text for text in said if "INSERT" in text and "tuneguard_data" in text]
    assert len([text for text in writes if "judgements" in text]) == 1
    assert "tuneguard_data.leases" in next(text for text in writes if "judgements" in text)


@pytest.mark.slow
def test_refused_draws_are_counted_by_rule_and_cost_no_trial(place: Place) -> None:
    campaign = place.open(place.study(trials=16, sampler="random"))
    for _ in range(16):
        claim = claimed(campaign)
        assert claim.params["learning_rate"] <= 0.004
        finish(campaign, claim, 1.0)
    assert isinstance(campaign.proposer.claim(), claims.Nothing)
    assert len(trials(campaign)) == 16
    (rule, count), *others = refusals.count_by_rule(campaign.rows.database, campaign.rows.study_id).items()
    # about half of the space, on its logarithmic scale, lies above the limit
    assert (rule, others) == ("high-rate", [])
    assert count >= 4


def test_what_an_enqueued_point_leaves_out_is_drawn_under_the_rules(place: Place) -> None:
    campaign = place.open(place.study(trials=3))
    enqueue(campaign, {"network_dim": 8})
    claim = claimed(campaign)
    assert claim.params["network_dim"] == 8
    assert claim.params["learning_rate"] <= 0.004
    assert trials(campaign)[0].params == claim.params


@pytest.mark.slow
def test_a_refused_enqueued_point_is_a_pruned_row_with_its_violation(place: Place) -> None:
    campaign = place.open(place.study(trials=3))
    enqueue(campaign, {"learning_rate": 0.01, "network_dim": 8, "lr_scheduler": "cosine"})
    assert isinstance(campaign.proposer.claim(), claims.Refused)
    (trial,) = trials(campaign)
    assert trial.state is optuna.trial.TrialState.PRUNED
    assert trial.constraints["high-rate"] > 0
    assert claimed(campaign).number == 1


@pytest.mark.slow
def test_a_worker_that_dies_while_it_takes_a_waiting_trial_leaves_it_waiting(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = place.study(trials=3)
    first, second = place.open(study), place.open(study)
    enqueue(first, {"network_dim": 8})

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trial_rows.Writing, "lease", die)
        with pytest.raises(KeyboardInterrupt):
            first.proposer.claim()
    (waiting,) = trials(second)
    assert (waiting.state, waiting.params) == (optuna.trial.TrialState.WAITING, {})
    claim = claimed(second)
    assert (claim.number, claim.params["network_dim"], claim.taken_up) == (0, 8, False)


def test_a_worker_that_dies_between_trial_and_lease_leaves_neither(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = place.open(place.study(trials=1))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trial_rows.Writing, "lease", die)
        with pytest.raises(KeyboardInterrupt):
            campaign.proposer.claim()
    assert trials(campaign) == []


def test_starting_points_come_first_in_their_order(place: Place) -> None:
    campaign = place.open(place.study(trials=3, start="[{learning_rate: 0.002}, {learning_rate: 0.003}]"))
    assert [claimed(campaign).params["learning_rate"] for _ in range(2)] == [0.002, 0.003]


@pytest.mark.slow
def test_the_same_point_asked_for_again_takes_the_result_over(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    claim = claimed(campaign)
    finish(campaign, claim, 0.7)
    enqueue(campaign, trials(campaign)[0].params)
    again = claimed(campaign)
    assert again.same_as is not None
    duplicates.take_over(campaign.rows, again.lease, again.same_as)
    first, second = trials(campaign)
    assert (second.state, second.values, second.params) == (first.state, first.values, first.params)
    assert second.user_attrs[attributes.TAKEN_FROM] == 0
    # it was no training, so the budget of two still has room
    assert claimed(campaign).number == 2


def test_usable_points_are_repeated_from_other_seeds_and_unusable_ones_are_not(place: Place) -> None:
    campaign = place.open(place.study(trials=4, repeats=3))
    first = claimed(campaign)
    finish(campaign, first, None)
    second = claimed(campaign)
    assert second.params != first.params
    finish(campaign, second, 0.5)
    repeats = [claimed(campaign), claimed(campaign)]
    assert [claim.params for claim in repeats] == [second.params, second.params]
    assert [second.seed, *(claim.seed for claim in repeats)] == [3, 4, 5]


@pytest.mark.slow
def test_the_repeat_after_a_crashed_one_has_a_seed_of_its_own_and_equal_results_never_count_twice(place: Place) -> None:
    campaign = place.open(place.study(trials=9, repeats=3))
    first = claimed(campaign)
    finish(campaign, first, 0.5)
    second = claimed(campaign)
    third = place.open(place.study(trials=9, repeats=3))
    last = claimed(third)
    assert [first.seed, second.seed, last.seed] == [3, 4, 5]
    campaign.rows.optuna.set_trial_state_values(trials(campaign)[second.number]._trial_id, State.FAIL)
    finish(third, last, 0.6)
    fourth = claimed(campaign)
    assert (fourth.params, fourth.seed) == (first.params, 6)
    finish(campaign, fourth, 0.7)
    assert claimed(campaign).params != first.params
    group = repeats.best(recorded(place, campaign), campaign.attempts.study.objectives)
    assert sorted(record.repeat for record in group) == [0, 2, 3]


@pytest.mark.slow
def test_a_point_trained_again_from_the_same_seed_is_one_result(place: Place) -> None:
    campaign = place.open(place.study(trials=9, repeats=2, duplicates="train"))
    first = claimed(campaign)
    finish(campaign, first, 0.5)
    enqueue(campaign, trials(campaign)[0].params)
    again = claimed(campaign)
    assert (again.params, again.seed) == (first.params, first.seed)
    finish(campaign, again, 0.5)
    assert claimed(campaign).seed == first.seed + 1
    assert (
        len(
            repeats.best(
                recorded(place, campaign),
                campaign.attempts.study.objectives,
            )
        )
        == 1
    )


@pytest.mark.slow
def test_a_point_that_is_being_trained_waits_for_what_that_comes_to(place: Place) -> None:
    campaign = place.open(place.study(trials=3))
    first = claimed(campaign)
    enqueue(campaign, trials(campaign)[0].params)
    second = claimed(campaign)
    assert (second.number, second.params == first.params) == (2, False)
    finish(campaign, first, 0.5)
    again = claimed(campaign)
    assert (again.number, again.same_as is not None) == (1, True)


def test_a_repeat_that_newer_rules_refuse_is_not_trained(place: Place) -> None:
    campaign = place.open(place.study(trials=4, repeats=3))
    first = claimed(campaign)
    finish(campaign, first, 0.5)
    limit = first.params["learning_rate"]
    holding.push(campaign.rows.database, "propose-rules", RULES.replace("> 0.004", f">= {limit}"))
    assert claimed(campaign).params != first.params


@pytest.mark.slow
def test_a_worker_with_other_versions_says_so_and_the_study_keeps_those_it_was_begun_with(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for versions in ({"torch": "2.8", "peft": "1"}, {"torch": "2.9", "peft": "1"}):
        monkeypatch.setattr(beginning.provenance, "environment", lambda _, now=versions: now)
        campaign = place.open(place.study(trials=2))
    assert campaign.rows.stored.facts.environment == {"torch": "2.8", "peft": "1"}
    assert [each.message for each in caplog.records if "begun with" in each.message] == [
        "the study was begun with torch 2.8, here it is 2.9; results may differ"
    ]
    alive = workers.alive(campaign.rows.database, 60)
    assert [worker.environment["torch"] for worker in alive] == ["2.8", "2.9"]


@pytest.mark.slow
def test_a_joining_worker_knows_the_study(place: Place) -> None:
    study = place.study(trials=4)
    first = place.open(study)
    finish(first, claimed(first), 0.5)
    second = place.open(study)
    second.proposer.look()
    assert len(second.proposer.roster.trials) == 1
    assert search_of(second).history.is_tried(trials(first)[0].params)


@pytest.mark.slow
def test_an_early_stopped_trial_is_pruned_and_feasible_and_read_back_as_such(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    claim = claimed(campaign)
    stop_early(campaign, claim)
    (trial,) = trials(campaign)
    assert trial.state is optuna.trial.TrialState.PRUNED
    assert trial.constraints == {attributes.TRAINING: 0.0}
    (record,) = recorded(place, campaign)
    assert record.state == "stopped-early"
    assert record.failure is None
    assert record.values == {"clip_score": None}
    assert jsonable.of(record)["early_stop"] == {
        "by": "pruner:asha",
        "step": 20,
        "total_steps": 160,
        "samples": 64,
        "score": 0.4,
    }


def test_the_stop_rule_that_ended_a_trial_is_named_in_the_dashboard_and_in_what_is_read_back(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    claim = claimed(campaign)
    failure = conclusions.Failure("stopped-by-rule", 12, "the stop rule loud ended the training", "loud")
    constraints = {attributes.TRAINING: 1.0}
    ended = conclusions.Conclusion(
        conclusions.Ending.UNUSABLE, constraints=constraints, failure=failure, steps=12, total_steps=160
    )
    campaign.teller.settle(claim, ended)
    (trial,) = trials(campaign)
    told = trial.user_attrs
    assert (told[attributes.STOP_RULE], told[attributes.STEPS], told[attributes.TOTAL_STEPS]) == ("loud", 12, 160)
    (record,) = recorded(place, campaign)
    assert record.state == "unusable"
    assert record.why() == "stop rule loud at step 12 of 160"
    assert jsonable.of(record)["stop_rule"] == "loud"


def test_a_study_is_a_frame_for_who_works_in_a_notebook(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    finish(campaign, claimed(campaign), 0.7)
    frame = optuna.load_study(study_name="proposed", storage=campaign.rows.database.url).trials_dataframe()
    assert list(frame["value_clip_score"]) == [0.7]
    assert list(frame["state"]) == ["COMPLETE"]


def test_a_begun_trial_that_nobody_holds_is_interrupted_and_not_running(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    held, left = claimed(campaign), claimed(campaign)
    campaign.rows.release(left.lease)
    states = {record.number: record.state for record in recorded(place, campaign)}
    assert states == {held.number: "running", left.number: "interrupted"}


@pytest.mark.slow
def test_an_early_stopped_point_is_spent_and_never_drawn_again(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    first = claimed(campaign)
    stop_early(campaign, first)
    second = claimed(campaign)
    assert second.params != first.params
    assert search_of(campaign).history.is_tried(trials(campaign)[0].params)
    finish(campaign, second, 0.5)
    assert isinstance(campaign.proposer.claim(), claims.Nothing)


@pytest.mark.slow
def test_an_early_stopped_point_that_a_person_asks_for_is_trained_since_it_has_no_result(place: Place) -> None:
    campaign = place.open(place.study(trials=2))
    stop_early(campaign, claimed(campaign))
    enqueue(campaign, trials(campaign)[0].params)
    assert claimed(campaign).same_as is None


def test_a_repeat_is_trained_from_its_own_seed_where_the_study_sets_one_itself(place: Place) -> None:
    """A parameter `seed` would otherwise count before the trial's, and both trainings would be one."""
    study = place.study(trials=2, repeats=2).model_copy(update={"fixed": {"seed": 40}})
    campaign = place.open(study)
    first = claimed(campaign)
    finish(campaign, first, 0.5)
    again = claimed(campaign)
    seeds = [lora_settings.lora_settings(claim.told, claim.seed).seed for claim in (first, again)]
    assert seeds == [40, 41]


def test_an_early_stopped_point_is_not_repeated(place: Place) -> None:
    campaign = place.open(place.study(trials=4, repeats=3))
    first = claimed(campaign)
    stop_early(campaign, first)
    assert claimed(campaign).params != first.params


@pytest.mark.slow
def test_a_design_takes_another_s_place_and_what_it_has_left_out_is_said(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Cells in their order, each run once by whichever worker is next; the refused one is counted and never trained."""
    given = [{"learning_rate": rate, "network_dim": 4, "lr_scheduler": "cosine"} for rate in (0.003, 0.01, 0.002)]

    def begin(admission: judgement.Admission) -> cells.Cells:
        return cells.Cells(admission, given)

    study = place.study(trials=9)
    both = [dataclasses.replace(place.open(study).proposer, begin=begin) for _ in range(2)]
    found = [both[turn % 2].claim() for turn in range(4)]
    assert [each.params["learning_rate"] for each in found[:2] if isinstance(each, claims.Claim)] == [0.003, 0.002]
    assert found[2:] == [claims.Nothing("every cell has been run")] * 2
    assert "ends after 2 of 9 trials: every cell has been run" in caplog.text
    assert refusals.count_by_rule(place.services.database, both[0].rows.study_id).keys() == {"high-rate"}


def test_reading_the_trials_teaches_nobody(place: Place) -> None:
    worker = place.open(place.study(trials=3))
    finish(worker, claimed(worker), 0.5)
    known = search_of(worker).sketch.rows
    worker.rows.read()
    with worker.rows.transaction() as writing:
        assert len(writing.trials()) == 1
    assert search_of(worker).sketch.rows == known
    worker.proposer.look()
    assert search_of(worker).sketch.rows == known + 1


def test_a_worker_that_has_nothing_to_do_says_what_it_did_and_why_it_ended(place: Place) -> None:
    worker = place.open(place.study(trials=1))
    finish(worker, claimed(worker), 0.5)
    said = worker.work(lambda: False).sentence()
    assert said == "this worker's trials: none; it ended because its one trial is spent"


@pytest.mark.slow
def test_estimates_are_corrected_where_the_database_went_away_while_they_were(place: Place) -> None:
    study = place.study(trials=9)
    slow = RULES.replace("learning_rate > 0.004", "estimate.minutes > 100000")
    (place.folder / "rules.yaml").write_text(slow, encoding="utf-8")
    worker = place.open(study)
    claim = claimed(worker)
    attempt = stored_attempts.start(worker.rows.database, claim.lease)
    seconds = {"train": 9000.0, "sample": 9.0}
    stored_attempts.finish(
        worker.rows.database, worker.rows.study_id, claim.number, attempt, ending="usable", seconds=seconds
    )
    ended = conclusions.Conclusion(
        conclusions.Ending.USABLE, values=(0.5,), steps=160, total_steps=160, seconds=seconds
    )
    worker.teller.settle(claim, ended)
    before = worker.proposer.standing.admission
    with holding.cut_off(worker.rows.database, when=".attempts"), pytest.raises(storage_errors.DatabaseUnreachable):
        worker.proposer.look()
    assert worker.proposer.standing.admission is before
    worker.proposer.look()
    assert worker.proposer.standing.admission is not before
