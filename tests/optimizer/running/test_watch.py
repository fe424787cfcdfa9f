"""What goes on beside a training is written now and then, and holds nothing up where the database is away."""

import pathlib

import pytest
import sqlalchemy

from optimizer import opening, patience, settings, wiring
from optimizer.running import launch, watch
from optimizer.study import resolved as studies
from optimizer.trials import claims
from storage import artifacts, database, optuna_store, signals
from storage import attempts as stored_attempts
from trainers.contract import events, paths

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
STUDY = f"""\
study_version: 1
name: watched
base: demo
dataset: {CHECKOUT / "examples" / "quickstart" / "dataset"}
space:
  learning_rate: {{float: [1.0e-3, 2.0e-2], log: true}}
objectives: {{clip_score: maximize}}
search: {{seed: 3, trials: 1}}
evaluation: {{prompts: [a prompt]}}
"""
NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/none"


def stepped(step: int) -> events.Event:
    known = {"epoch": 0, "progress": 0.5, "loss": 0.25, "loss_ema": 0.2, "grad_norm": 2.0, "grad_norm_median": 2.0}
    return events.Event(float(step), 0, "step", {**known, "step": step, "learning_rate_now": 1e-4})


@pytest.fixture
def watching(database: database.Database, home: pathlib.Path, tmp_path: pathlib.Path) -> watch.Watch:
    """A watch beside an attempt at the only trial of a study."""
    read = settings.read({"TUNEGUARD_HOME": str(home)})
    services = opening.Services(read, database, optuna_store.open_storage(database), artifacts.open_store(home))
    worker = wiring.open_worker(services, studies.parse(STUDY, "watched"), launch.Device(None, 1))
    claim = worker.proposer.claim()
    assert isinstance(claim, claims.Claim)
    attempt = stored_attempts.start(database, claim.lease)
    waiting = patience.Patience(database, 600.0, lambda: False)
    attempts = worker.attempts
    place = paths.TrialPaths(tmp_path)
    return watch.Watch(worker.rows, attempts.pruning, attempts.launcher, claim, waiting, place, attempt)


def shown(source: database.Database, watching: watch.Watch) -> int | None:
    """The step that others see."""
    (heard,) = signals.of_trials(source, watching.rows.study_id, [watching.claim.number])
    return None if heard.signals is None else heard.signals.step


def test_others_see_what_an_attempt_does_but_not_each_step_of_it(
    database: database.Database, watching: watch.Watch
) -> None:
    watching.remember(stepped(1))
    watching.between()
    assert shown(database, watching) == 1
    for step in range(2, 20):
        watching.remember(stepped(step))
        watching.between()
    assert shown(database, watching) == 1


def test_a_beat_is_one_statement(watching: watch.Watch) -> None:
    said: list[str] = []
    engine = watching.rows.database.engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    watching.between()
    assert [text.split()[:3] for text in said] == [["INSERT", "INTO", "tuneguard_data.signals"]]


def test_signals_are_dropped_while_the_database_is_away_and_come_again_when_it_is_back(
    database: database.Database, watching: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(patience, "back_off", lambda _: 0.0)
    away = type(database)(NOWHERE)
    watching.rows.database = away
    for step in range(1, 5):
        watching.remember(stepped(step))
        watching.between()
    assert not watching.interrupted
    assert shown(database, watching) is None
    watching.rows.database = database
    for step in range(5, 8):
        watching.remember(stepped(step))
        watching.between()
    assert shown(database, watching) == 7
    away.close()
