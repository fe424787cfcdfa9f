"""Three real workers go on while a person works on their study in optuna-dashboard, by its own HTTP interface."""

import json
import pathlib
import subprocess
import time
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from starlette import testclient

from optimizer import opening, settings
from optimizer.web import app
from storage import rule_versions
from tests.flow import place as places
from tests.flow import scripted

pytestmark = pytest.mark.slow

RULES = """\
rules_version: 1
name: {name}-rules
rules:
  - {{id: small, refuse: dim < {least}, because: A test.}}
"""
State = optuna.trial.TrialState


class Person:
    """Somebody at optuna-dashboard, and three workers who must not mind."""

    def __init__(self, place: places.Place, name: str) -> None:
        self.place, self.name = place, name
        self.services = opening.services(settings.read({"TUNEGUARD_HOME": str(place.home)}))
        self.browser = testclient.TestClient(
            app.make(self.services, None, read_only=False), base_url="http://localhost:8080"
        )
        self.workers: list[tuple[subprocess.Popen[str], pathlib.Path]] = []

    def hire(self, *words: object) -> None:
        log = self.place.folder / f"{self.name}-worker-{len(self.workers)}.log"
        with log.open("w", encoding="utf-8") as console:
            process = subprocess.Popen(
                self.place.command(*words),
                env=self.place.environment(TUNEGUARD_LEASE_SECONDS="6"),
                stdout=console,
                stderr=console,
                text=True,
                start_new_session=True,
            )
        self.workers.append((process, log))

    def everybody_works(self) -> None:
        for process, log in self.workers:
            assert process.poll() is None, log.read_text(encoding="utf-8")

    def ask(self, method: str, path: str, **content: Any) -> None:
        """As a browser does; a click that came too late for the trial it was for is another click."""
        answer = self.browser.request(method, path, json=content)
        assert answer.status_code < 600, answer.text

    def id(self) -> int:
        return self.services.optuna_storage.get_study_id_from_name(self.name)

    def rename(self, name: str) -> None:
        old = self.id()
        answer = self.browser.post(f"/api/studies/{old}/rename", json={"study_name": name})
        assert answer.status_code == 201, answer.text
        self.delete(old)
        self.name = name

    def delete(self, study: int) -> None:
        """Until it is gone: where a worker writes meanwhile, Optuna deletes nothing, and does not say so."""
        url = self.services.database.url
        while study in {each._study_id for each in optuna.get_all_study_summaries(url, include_best_trial=False)}:
            self.ask("DELETE", f"/api/studies/{study}", remove_associated_artifacts=False)

    def trials(self, *states: State) -> list[optuna.trial.FrozenTrial]:
        return optuna.load_study(study_name=self.name, storage=self.services.database.url).get_trials(states=states)

    def running(self) -> int:
        """The id of a trial that runs."""
        found: list[optuna.trial.FrozenTrial] = []

        def look() -> bool:
            found[:] = self.trials(State.RUNNING)
            return bool(found)

        self.wait(look)
        return found[-1]._trial_id

    def wait(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.everybody_works()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def more_is_done(self, trials: int = 2) -> None:
        """The workers still do what they are for."""
        before = len(self.trials(State.COMPLETE))
        self.wait(lambda: len(self.trials(State.COMPLETE)) >= before + trials)


def test_workers_and_commands_take_what_a_person_does_in_the_dashboard_as_it_is(place: places.Place) -> None:
    rules = RULES.format(name="clicked", least=2)
    study = scripted.study(place, "clicked", trials=100_000, dims=100_000, seconds=1.0, rules=rules)
    person = Person(place, "clicked")
    person.hire("study", "run", study, "--cpu")
    try:
        person.wait(lambda: _is_there(person))
        for _ in range(2):
            person.hire("worker", "run", "clicked", "--cpu")
        person.more_is_done(6)
        for turn in range(4):
            person.rename(f"clicked / {turn}")
            person.ask("POST", f"/api/trials/{person.running()}/tell", state="Complete", values=[0.9])
            person.ask("POST", f"/api/trials/{person.running()}/tell", state="Fail")
            attributes = {"refused_by": turn, "repeat": "x", "steps": "many", "stopped_by": None}
            person.ask("POST", f"/api/trials/{person.running()}/user-attrs", user_attrs=attributes)
            note = f"/api/studies/{person.id()}/{person.running()}/note"
            person.ask("PUT", note, body="# a note", version=1)
            person.more_is_done()
        # a version that this study could not use, past every check
        with person.services.database.transaction() as connection:
            rule_versions.push(connection, "clicked-rules", rules.replace("dim", "dimm"))
        person.more_is_done()
        person.everybody_works()
        commands_work(place, person.name)
        person.delete(person.id())
        for process, log in person.workers:
            assert process.wait(120) == 2
            said = log.read_text(encoding="utf-8")
            assert "Traceback" not in said
            assert "was deleted in optuna-dashboard" in said
    finally:
        for process, _ in person.workers:
            if process.poll() is None:
                process.terminate()
                process.wait(120)
    assert {row["name"]: row["deleted_in_dashboard"] for row in place.json("study", "list")}[person.name]
    for words in (("show",), ("best",), ("report",), ("export",)):
        done = place.run("study", *words, person.name)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert "was deleted in optuna-dashboard" in done.stderr
    done = place.run("study", "delete", person.name, "--yes")
    assert done.returncode == 0, done.stderr
    assert person.name not in {row["name"] for row in place.json("study", "list")}
    assert not list((place.home / "runs").glob("clicked-????????"))


def _is_there(person: Person) -> bool:
    return person.name in optuna.get_all_study_names(person.services.optuna_storage)


def commands_work(place: places.Place, name: str) -> None:
    shown = place.json("study", "show", name)["trials"]
    assert [trial["number"] for trial in shown] == list(range(len(shown)))
    assert name in place.run("study", "show", name).stdout
    assert place.json("study", "best", name)["values"] == {"gain": 0.9}
    for words in (("report",), ("export", "--format", "json"), ("enqueue", "--params", json.dumps({"dim": 7}))):
        done = place.run("study", words[0], name, *words[1:])
        assert done.returncode == 0, done.stderr
