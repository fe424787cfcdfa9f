"""Telling on a real database: once, whoever else tells, and whatever breaks in between."""

import dataclasses
import pathlib
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from optimizer import attributes, opening, patience, settings
from optimizer.running import launch
from optimizer.running import worker as workers_
from optimizer.trials import claims, heirs
from optimizer.trials import conclusion as conclusions
from optimizer.trials import rows as trial_rows
from storage import artifacts, attempts, database, optuna_store, refusals, results
from storage import errors as storage_errors
from tests.optimizer.trials import test_propose as proposing
from trainers.contract import events

State = optuna.trial.TrialState
DEVICE = launch.Device(None, 1)


@pytest.fixture
def place(database: database.Database, home: pathlib.Path, tmp_path: pathlib.Path) -> proposing.Place:
    storage = optuna_store.open_storage(database)
    read = settings.read({"TUNEGUARD_HOME": str(home)})
    return proposing.Place(opening.Services(read, database, storage, artifacts.open_store(home)), tmp_path)


def waiting(campaign: workers_.Worker) -> patience.Patience:
    return patience.Patience(campaign.rows.database, 0, lambda: False)


def usable(*pictures: pathlib.Path) -> conclusions.Conclusion:
    images = tuple({"path": str(picture)} for picture in pictures)
    return conclusions.Conclusion(
        conclusions.Ending.USABLE,
        values=(0.5,),
        constraints={attributes.TRAINING: 0.0},
        metrics={"clip_score": 0.5},
        images=images,
    )


class Trainer(launch.TrainerProcess):
    """A trainer that has ended, and told what it was made with."""

    def __init__(self, folder: pathlib.Path, *told: tuple[str, int | None, dict[str, Any]], broken: str = "") -> None:
        super().__init__(DEVICE, "command", folder / "worker.log", 1)
        self.told, self.broken = told, broken

    def start(self, job: pathlib.Path) -> None:
        reporter = events.Reporter(job.with_name("events.jsonl"))
        for event, trial, data in self.told:
            reporter.tell(event, trial, **data)
        reporter.close()
        with job.with_name("events.jsonl").open("a") as raw:
            raw.write(self.broken)


def trained(lora: pathlib.Path) -> tuple[tuple[str, int | None, dict[str, Any]], ...]:
    lora.write_bytes(b"a LoRA")
    return (
        ("saved", 0, {"path": str(lora), "sha256": "0"}),
        ("scored", 0, {"metrics": {"clip_score": 0.5}, "images": [], "seconds": 0.0}),
        ("trial-finished", 0, {"outcome": "finished", "seconds": {"train": 1.0}}),
        ("job-finished", None, {"exit_code": 0}),
    )


@pytest.mark.slow
@pytest.mark.parametrize("by_hand", [State.FAIL, State.COMPLETE])
def test_a_trial_that_somebody_told_by_hand_stays_so_and_what_was_measured_is_kept_beside_it(
    place: proposing.Place, tmp_path: pathlib.Path, by_hand: State
) -> None:
    campaign = place.open(place.study(trials=2))
    claim = proposing.claimed(campaign)
    told = optuna.load_study(study_name="proposed", storage=campaign.rows.database.url)
    told.tell(claim.number, 0.9 if by_hand is State.COMPLETE else None, state=by_hand)
    picture = tmp_path / "a.png"
    picture.write_bytes(b"a picture")
    assert campaign.teller.settle(claim, usable(picture))
    assert proposing.trials(campaign)[0].state is by_hand
    (kept,) = results.listed(campaign.rows.database, campaign.rows.study_id)
    assert kept.metrics == {"clip_score": 0.5}
    assert proposing.claimed(campaign).number == 1


def test_a_telling_that_broke_off_is_done_again_and_links_each_picture_once(
    place: proposing.Place, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = place.open(place.study(trials=1))
    claim = proposing.claimed(campaign)
    pictures = [tmp_path / name for name in ("a.png", "b.png")]
    for picture in pictures:
        picture.write_bytes(b"a picture")

    def break_off(*_: Any, **__: Any) -> None:
        raise storage_errors.DatabaseUnreachable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(trial_rows.Writing, "end", break_off)
        with pytest.raises(storage_errors.DatabaseUnreachable):
            campaign.teller.settle(claim, usable(*pictures))
    assert proposing.trials(campaign)[0].state is State.RUNNING
    assert campaign.teller.settle(claim, usable(*pictures))
    (trial,) = proposing.trials(campaign)
    assert trial.state is State.COMPLETE
    storage = optuna_store.open_storage(campaign.rows.database)
    metas = optuna.artifacts.get_all_artifact_meta(trial, storage=storage)
    assert sorted(meta.filename for meta in metas) == ["a.png", "b.png"]


def test_a_picture_that_is_gone_keeps_no_trial_from_being_told(place: proposing.Place, tmp_path: pathlib.Path) -> None:
    campaign = place.open(place.study(trials=1))
    claim = proposing.claimed(campaign)
    assert campaign.teller.settle(claim, usable(tmp_path / "gone.png"))
    assert proposing.trials(campaign)[0].state is State.COMPLETE


def test_every_rule_version_in_force_is_kept_with_a_result_and_with_a_refusal(place: proposing.Place) -> None:
    study = place.study(trials=1)
    second = proposing.RULES.replace("propose-rules", "more-rules").replace("high-rate", "too-high")
    file = place.folder / "more.yaml"
    file.write_text(second.replace("0.004", "0.005"), encoding="utf-8")
    campaign = place.open(study.model_copy(update={"rules": (*study.rules, str(file))}))
    ids = [version.id for version in campaign.teller.book.versions]
    assert len(ids) == 2
    proposing.enqueue(campaign, {"learning_rate": 0.0045, "network_dim": 4, "lr_scheduler": "cosine"})
    assert isinstance(campaign.proposer.claim(), claims.Refused)
    campaign.teller.settle(proposing.claimed(campaign), usable())
    (refusal, *_) = refusals.recent(campaign.rows.database, campaign.rows.study_id)
    (result,) = results.listed(campaign.rows.database, campaign.rows.study_id)
    assert list(refusal.refusal.rule_version_ids) == ids
    assert list(result.rule_version_ids) == ids


def test_nothing_is_told_of_a_study_that_was_deleted(place: proposing.Place) -> None:
    campaign = place.open(place.study(trials=1))
    claim = proposing.claimed(campaign)
    optuna.delete_study(study_name="proposed", storage=campaign.rows.database.url)
    with pytest.raises(storage_errors.NotFound, match="was deleted"):
        campaign.teller.settle(claim, usable())


def test_a_finished_attempt_that_nobody_told_is_found_by_the_next_holder(
    place: proposing.Place, tmp_path: pathlib.Path
) -> None:
    campaign = place.open(place.study(trials=1))
    claim = proposing.claimed(campaign)
    trainer = Trainer(tmp_path, *trained(tmp_path / "lora.safetensors"))
    concluded = dataclasses.replace(campaign.attempts, launcher=trainer).run(claim, waiting(campaign))
    found = campaign.attempts.left_behind(claim, waiting(campaign))
    assert found is not None
    assert (found.ending, found.values) == (concluded.ending, concluded.values) == (conclusions.Ending.USABLE, (0.5,))
    (run,) = attempts.of_trial(campaign.rows.database, campaign.rows.study_id, claim.number)
    assert run.ending == "usable"


def test_an_attempt_is_not_taken_for_a_finished_one_unless_it_is_this_very_job(
    place: proposing.Place, tmp_path: pathlib.Path
) -> None:
    campaign = place.open(place.study(trials=1))
    claim = proposing.claimed(campaign)
    lora = tmp_path / "lora.safetensors"
    dataclasses.replace(campaign.attempts, launcher=Trainer(tmp_path, *trained(lora))).run(claim, waiting(campaign))
    job = campaign.attempts.settings.run_directory(campaign.rows.stored.folder, 0) / "attempt-1" / "job.json"
    text = job.read_text(encoding="utf-8")
    for own, other in [(f'"seed": {claim.seed}', '"seed": 99'), (campaign.rows.study_id, "another study")]:
        assert own in text
        job.write_text(text.replace(own, other), encoding="utf-8")
        assert campaign.attempts.left_behind(claim, waiting(campaign)) is None
    job.write_text(text, encoding="utf-8")
    lora.unlink()
    assert campaign.attempts.left_behind(claim, waiting(campaign)) is None
    lora.write_bytes(b"again")
    assert campaign.attempts.left_behind(claim, waiting(campaign)) is not None


def test_an_attempt_that_was_interrupted_is_gone_on_with(place: proposing.Place, tmp_path: pathlib.Path) -> None:
    campaign = place.open(place.study(trials=1))
    claim = proposing.claimed(campaign)
    interrupted = ("trial-finished", 0, {"outcome": "interrupted", "seconds": {}})
    dataclasses.replace(campaign.attempts, launcher=Trainer(tmp_path, interrupted)).run(claim, waiting(campaign))
    assert campaign.attempts.left_behind(claim, waiting(campaign)) is None


def test_a_line_that_is_no_event_is_named_in_what_the_trial_is_told_with(
    place: proposing.Place, tmp_path: pathlib.Path
) -> None:
    campaign = place.open(place.study(trials=1))
    claim = proposing.claimed(campaign)
    trainer = Trainer(tmp_path, *trained(tmp_path / "lora.safetensors")[:-1], broken="loss: 0.3\nloss: 0.2\n")
    conclusion = dataclasses.replace(campaign.attempts, launcher=trainer).run(claim, waiting(campaign))
    assert conclusion.ending is conclusions.Ending.USABLE
    assert "events.jsonl:4: no JSON" in conclusion.message
    assert "1 more line" in conclusion.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "exit_code", "gives_up"),
    [
        pytest.param("refused-job", 2, True, id="the script refuses the job again and again"),
        pytest.param("unusable-input", 2, False, id="an image cannot be read"),
        pytest.param("machine", 74, False, id="the disk is full"),
    ],
)
def test_only_what_may_be_the_trial_s_own_fault_is_given_up(
    place: proposing.Place, tmp_path: pathlib.Path, kind: str, exit_code: int, gives_up: bool
) -> None:
    campaign = place.open(place.study(trials=1))
    failed = ("failed", None, {"kind": kind, "step": None, "message": "no", "evidence": {}, "fatal": True})
    ended = ("job-finished", None, {"exit_code": exit_code, "message": "no"})
    settled = []
    for _ in range(campaign.attempts.study.launch.attempts):
        claim = proposing.claimed(campaign)
        conclusion = dataclasses.replace(campaign.attempts, launcher=Trainer(tmp_path, failed, ended)).run(
            claim, waiting(campaign)
        )
        assert conclusion.ending is conclusions.Ending.REJECTED
        settled.append(campaign.teller.settle(claim, conclusion))
    assert settled == [False, False, gives_up]
    assert proposing.trials(campaign)[0].state is (State.FAIL if gives_up else State.RUNNING)


def test_a_point_that_the_trainer_contradicts_is_its_trial_s_fault_alone(
    place: proposing.Place, tmp_path: pathlib.Path
) -> None:
    campaign = place.open(place.study(trials=2))
    claim = proposing.claimed(campaign)
    failed = {"kind": "contradictory-parameters", "step": None, "message": "5e-08 is not above 1e-07"}
    finished = {"outcome": "failed", "seconds": {}}
    trainer = Trainer(tmp_path, ("failed", 0, failed), ("trial-finished", 0, finished))
    conclusion = dataclasses.replace(campaign.attempts, launcher=trainer).run(claim, waiting(campaign))
    assert campaign.teller.settle(claim, conclusion)
    (trial,) = proposing.trials(campaign)
    assert trial.state is State.PRUNED
    assert trial.constraints == {attributes.TRAINING: 1.0}
    found = campaign.proposer.claim()
    assert isinstance(found, claims.Claim)
    assert found.number == 1


@pytest.mark.slow
def test_a_worker_without_work_waits_for_a_trial_whose_holder_may_be_dead_and_leaves_one_that_is_alive(
    place: proposing.Place,
) -> None:
    study = place.study(trials=2)
    living, dead, heir = (place.open(study) for _ in range(3))
    kept, lost = proposing.claimed(living), proposing.claimed(dead)
    others = heirs.Heirs(heir.rows)
    assert isinstance(heir.proposer.claim(), claims.Nothing)
    assert others.may_come(heir.proposer.roster.running)
    assert living.rows.renew(kept.lease)
    assert others.may_come(heir.proposer.roster.running)
    with heir.rows.database.transaction() as connection:
        connection.execute(
            sa.text("UPDATE tuneguard_data.leases SET expires_at = now() WHERE token = 1 AND trial_number = 1")
        )
    taken = proposing.claimed(heir)
    assert taken.number == lost.number == 1
    heir.teller.settle(taken, usable())
    assert isinstance(heir.proposer.claim(), claims.Nothing)
    assert not others.may_come(heir.proposer.roster.running)
    living.teller.settle(kept, usable())
    assert isinstance(heir.proposer.claim(), claims.Nothing)
    assert not others.may_come(heir.proposer.roster.running)
