"""Studies that people rename, delete, tell and edit in optuna-dashboard, by its own HTTP interface."""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import click.testing
import optuna
import pytest
import sqlalchemy
from starlette import testclient

from optimizer import attributes, cli, opening, settings, wiring
from optimizer.results import reading
from optimizer.running import launch
from optimizer.running import worker as workers_
from optimizer.study import resolved as studies
from optimizer.trials import claims
from optimizer.trials import conclusion as conclusions
from optimizer.web import app
from storage import database as databases
from storage import errors, migration
from storage import studies as stored_studies

pytestmark = pytest.mark.slow

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = f"""\
study_version: 1
name: kitten
base: demo
dataset: {CHECKOUT / "examples" / "quickstart" / "dataset"}
space:
  learning_rate: {{float: [1.0e-3, 2.0e-2], log: true}}
  network_dim: {{choices: [4, 8]}}
objectives: {{clip_score: maximize, failure_rate: minimize}}
search: {{trials: 20, seed: 3, repeats: 2}}
evaluation: {{prompts: [a cat]}}
"""


@dataclasses.dataclass
class Place:
    """A database, our commands and pages on it, and optuna-dashboard as a browser drives it."""

    services: opening.Services
    browser: testclient.TestClient
    environment: dict[str, str]

    def open(self, name: str | None = None) -> workers_.Worker:
        """A worker of a study that is there, or of a new one."""
        kept = None if name is None else reading.stored_study(self.services.database, name)[1]
        study = kept or studies.parse(DOCUMENT, "kitten")
        return wiring.open_worker(self.services, study, launch.Device(None, 1))

    def command(self, *words: str, code: int = 0) -> str:
        done = click.testing.CliRunner().invoke(cli.command, list(words), env=self.environment)
        error = done.exception
        if isinstance(error, SystemExit) or error is None:
            assert done.exit_code == code, done.output
            return done.output
        assert isinstance(error, Exception)
        assert cli.exit_code(error) == code, error
        return str(error)

    def listed(self) -> dict[str, Any]:
        return {row["name"]: row for row in json.loads(self.command("study", "list", "--json"))}

    def dashboard(self, method: str, path: str, **content: Any) -> Any:
        answer = self.browser.request(method, path, json=content)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def id_of(self, name: str) -> int:
        return self.services.optuna_storage.get_study_id_from_name(name)

    def rename(self, old: str, new: str) -> None:
        self.dashboard("POST", f"/api/studies/{self.id_of(old)}/rename", study_name=new)

    def delete(self, name: str) -> None:
        self.dashboard("DELETE", f"/api/studies/{self.id_of(name)}")

    def trial_id(self, name: str, number: int) -> int:
        return self.services.optuna_storage.get_trial_id_from_study_id_trial_number(self.id_of(name), number)


@pytest.fixture
def place(database: databases.Database, home: pathlib.Path) -> Place:
    environment = {"TUNEGUARD_HOME": str(home), "TUNEGUARD_DATABASE_URL": database.url, "COLUMNS": "200"}
    services = opening.services(settings.read(environment))
    browser = testclient.TestClient(
        app.make(services, None, read_only=False), base_url="http://localhost:8080", follow_redirects=False
    )
    return Place(services, browser, environment)


def claimed(campaign: workers_.Worker) -> claims.Claim:
    found = campaign.proposer.claim()
    assert isinstance(found, claims.Claim)
    return found


def finish(campaign: workers_.Worker, claim: claims.Claim, value: float) -> None:
    ending = conclusions.Conclusion(
        conclusions.Ending.USABLE, values=(value, 0.0), constraints={attributes.TRAINING: 0.0}
    )
    campaign.teller.settle(claim, ending)


def every_command_works(place: Place, name: str, trials: int) -> None:
    assert sum(place.listed()[name]["trials"].values()) == trials
    shown = json.loads(place.command("study", "show", name, "--json"))
    assert [trial["number"] for trial in shown["trials"]] == list(range(trials))
    assert name in place.command("study", "show", name)
    assert json.loads(place.command("study", "best", name, "--json"))["number"] < trials
    assert place.command("study", "report", name).strip().endswith("report.html")
    place.command("study", "export", name, "--format", "json")
    place.command("study", "enqueue", name, "--params", '{"network_dim": 4}')
    page = place.browser.get("/tuneguard/")
    assert page.status_code == 200
    assert name in page.text
    assert place.browser.get(f"/tuneguard/studies/{name}/report").status_code == 200


def test_who_tells_late_and_who_takes_the_trial_up_do_not_wait_for_each_other_where_a_study_was_renamed(
    place: Place,
) -> None:
    late, heir = place.open(), place.open("kitten")
    claim = claimed(late)
    watching = databases.Database(late.rows.database.url)
    with watching.transaction() as connection:
        connection.exec_driver_sql("UPDATE tuneguard_data.leases SET expires_at = expires_at - interval '1 day'")
    place.rename("kitten", "cat")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with heir.rows.claiming() as writing:
            telling = pool.submit(finish, late, claim, 0.5)
            while not telling.done() and not waiting(watching):
                time.sleep(0.01)
            assert writing.lease(claim.number) is not None
        telling.result()
    watching.close()
    assert heir.rows.read()[claim.number].state is optuna.trial.TrialState.RUNNING


def waiting(source: databases.Database) -> bool:
    """Whether anybody waits for a lock of this database."""
    with source.transaction() as connection:
        blocked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return connection.exec_driver_sql(blocked).first() is not None


@pytest.mark.slow
def test_a_renamed_study_goes_on_under_its_new_name_everywhere(place: Place) -> None:
    worker = place.open()
    finish(worker, claimed(worker), 0.5)
    running = claimed(worker)
    folder = worker.rows.stored.folder
    place.rename("kitten", "a cat / 2")
    assert worker.rows.renew(running.lease)
    finish(worker, running, 0.6)
    finish(worker, claimed(worker), 0.7)
    assert worker.rows.name == "a cat / 2"
    every_command_works(place, "a cat / 2", trials=3)
    assert "There are: a cat / 2." in place.command("study", "show", "kitten", code=2)
    joined = place.open("a cat / 2")
    assert joined.rows.stored.folder == folder
    assert claimed(joined).number == 3
    opened = optuna.load_study(study_name="a cat / 2", storage=place.services.database.url)
    assert opened.metric_names == ["clip_score", "failure_rate"]


def test_a_study_renamed_behind_a_storage_of_its_own_is_found_by_whoever_reads_it_first(place: Place) -> None:
    """As a proxy or a notebook does it: our process has not been asked."""
    place.open()
    elsewhere = optuna.storages.RDBStorage(place.services.database.url)
    optuna.copy_study(from_study_name="kitten", from_storage=elsewhere, to_storage=elsewhere, to_study_name="copy")
    assert set(place.listed()) == {"kitten"}
    elsewhere.delete_study(place.id_of("kitten"))
    assert set(place.listed()) == {"copy"}


def test_a_trial_that_began_while_the_study_was_copied_keeps_its_number_and_its_folder(place: Place) -> None:
    worker, other = place.open(), place.open()
    finish(worker, claimed(worker), 0.5)
    storage = optuna.storages.RDBStorage(place.services.database.url)
    optuna.copy_study(from_study_name="kitten", from_storage=storage, to_storage=storage, to_study_name="copy")
    lost = claimed(worker)
    assert lost.number == 1
    storage.delete_study(place.id_of("kitten"))
    assert not worker.rows.renew(lost.lease)
    assert claimed(other).number == 2
    states = [trial["state"] for trial in json.loads(place.command("study", "show", "copy", "--json"))["trials"]]
    assert states == ["usable", "crashed", "running"]


def test_a_rename_that_was_followed_in_a_transaction_that_failed_is_followed_again(place: Place) -> None:
    """What was written with it is gone: the link, and the trials that keep lost numbers from being given again."""
    worker = place.open()
    finish(worker, claimed(worker), 0.5)
    storage = optuna.storages.RDBStorage(place.services.database.url)
    optuna.copy_study(from_study_name="kitten", from_storage=storage, to_storage=storage, to_study_name="copy")
    lost = claimed(worker)
    storage.delete_study(place.id_of("kitten"))
    with contextlib.suppress(KeyboardInterrupt), worker.rows.claiming():
        raise KeyboardInterrupt
    assert claimed(worker).number == lost.number + 1


def test_a_study_deleted_in_the_dashboard_is_said_to_be_gone_and_can_be_removed(place: Place) -> None:
    worker, idle = place.open(), place.open()
    running = claimed(worker)
    place.delete("kitten")
    for ends in (
        lambda: worker.rows.renew(running.lease),
        lambda: finish(worker, running, 0.5),
        idle.proposer.claim,
    ):
        with pytest.raises(errors.StudyGone, match="deleted in optuna-dashboard"):
            ends()
    assert place.listed()["kitten"]["deleted_in_dashboard"]
    assert "`tuneguard study delete kitten` removes the rest" in place.command("study", "list")
    for words in (("show",), ("best",), ("report",), ("export",), ("enqueue", "--params", "{}")):
        assert "deleted in optuna-dashboard" in place.command("study", words[0], "kitten", *words[1:], code=2)
    page = place.browser.get("/tuneguard/")
    assert page.status_code == 200
    assert "Deleted in optuna-dashboard" in page.text
    assert place.browser.get("/tuneguard/studies/kitten/report").status_code == 404
    place.command("study", "delete", "kitten", "--yes")
    assert place.listed() == {}


def test_a_new_study_may_have_the_name_of_one_that_the_dashboard_deleted(place: Place) -> None:
    old = place.open().rows.stored
    place.delete("kitten")
    new = place.open().rows.stored
    assert new.id != old.id
    assert set(place.listed()) == {"kitten", f"kitten-{old.id[:8]}"}
    place.command("study", "delete", f"kitten-{old.id[:8]}", "--yes")
    assert set(place.listed()) == {"kitten"}


def test_two_studies_may_swap_their_names(place: Place) -> None:
    first = place.open().rows.stored
    for old, new in (("kitten", "cat"),):
        place.rename(old, new)
    second = place.open().rows.stored
    for old, new in (("cat", "tom"), ("kitten", "cat"), ("tom", "kitten")):
        place.rename(old, new)
    assert stored_studies.get(place.services.database, "kitten").id == first.id
    assert stored_studies.get(place.services.database, "cat").id == second.id


def test_a_study_that_only_optuna_knows_is_not_taken_over(place: Place) -> None:
    optuna.create_study(study_name="kitten", storage=place.services.optuna_storage)
    with pytest.raises(errors.AlreadyExists, match="Optuna has a study 'kitten' already"):
        place.open()
    assert place.listed() == {}


@pytest.mark.slow
def test_a_running_trial_told_in_the_dashboard_is_left_as_it_was_told(place: Place) -> None:
    worker = place.open()
    first, second = claimed(worker), claimed(worker)
    told = {"state": "Complete", "values": [0.9, 0.0]}
    place.dashboard("POST", f"/api/trials/{place.trial_id('kitten', first.number)}/tell", **told)
    place.dashboard("POST", f"/api/trials/{place.trial_id('kitten', second.number)}/tell", state="Fail")
    assert not worker.rows.renew(first.lease)
    assert not worker.rows.renew(second.lease)
    finish(worker, claimed(worker), 0.5)
    every_command_works(place, "kitten", trials=3)
    assert json.loads(place.command("study", "best", "kitten", "--json"))["values"]["clip_score"] == 0.9


@pytest.mark.slow
def test_a_waiting_trial_told_in_the_dashboard_is_no_point(place: Place) -> None:
    """It has no parameters, so there is nothing in it to repeat or to learn from."""
    worker = place.open()
    finish(worker, claimed(worker), 0.5)
    for _ in range(2):
        place.command("study", "enqueue", "kitten", "--params", '{"network_dim": 4}')
    told = {"state": "Complete", "values": [0.9, 0.0]}
    place.dashboard("POST", f"/api/trials/{place.trial_id('kitten', 1)}/tell", **told)
    place.dashboard("POST", f"/api/trials/{place.trial_id('kitten', 2)}/tell", state="Fail")
    claims = [claimed(worker), claimed(worker)]
    assert all({"learning_rate", "network_dim"} <= claim.params.keys() for claim in claims)
    every_command_works(place, "kitten", trials=5)


ODD: dict[str, Any] = {
    attributes.REFUSED_BY: 7,
    attributes.REPEAT: "twice",
    attributes.TAKEN_FROM: None,
    attributes.STOPPED_BY: {"a": 1},
    attributes.STEPS: "many",
    attributes.TOTAL_STEPS: [],
    attributes.RULE_VERSION: 3.5,
    "message": ["a list"],
}


@pytest.mark.slow
def test_whatever_a_person_writes_into_the_attributes_of_running_trials_is_read(place: Place) -> None:
    worker = place.open()
    finish(worker, claimed(worker), 0.4)
    claims = [claimed(worker) for _ in ODD]
    for claim, (key, value) in zip(claims, ODD.items(), strict=True):
        trial = place.trial_id("kitten", claim.number)
        place.dashboard("POST", f"/api/trials/{trial}/user-attrs", user_attrs={key: value})
        place.dashboard("PUT", f"/api/studies/{place.id_of('kitten')}/{trial}/note", body="# a note", version=1)
    joined = place.open("kitten")
    joined.proposer.look()
    for claim in claims:
        finish(worker, claim, 0.5)
    finish(joined, claimed(joined), 0.6)
    finish(worker, claimed(worker), 0.6)
    every_command_works(place, "kitten", trials=len(ODD) + 3)


def test_studies_from_before_are_linked_when_the_tables_are_brought_up_to_date(
    empty_database: databases.Database,
) -> None:
    migration.migrate(empty_database, "0001")
    optuna.create_study(study_name="kitten", storage=empty_database.url)
    row = "INSERT INTO tuneguard_data.studies (id, name, document) VALUES (gen_random_uuid(), 'kitten', '')"
    with empty_database.transaction() as connection:
        connection.execute(sqlalchemy.text(row))
    migration.migrate(empty_database)
    assert migration.verify(empty_database) == []
    found = stored_studies.get(empty_database, "kitten")
    assert (found.folder, found.optuna_id) == ("kitten", 1)
    optuna.copy_study(
        from_study_name="kitten",
        from_storage=empty_database.url,
        to_storage=empty_database.url,
        to_study_name="cat",
    )
    optuna.delete_study(study_name="kitten", storage=empty_database.url)
    assert stored_studies.get(empty_database, "cat").id == found.id


@pytest.fixture
def proxy(database: databases.Database) -> Iterator[str]:
    """The address of a storage proxy in front of the database."""
    pytest.importorskip("grpc")
    from optuna.storages._grpc import server as grpc_server

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = grpc_server.make_server(optuna.storages.RDBStorage(database.url), "127.0.0.1", port)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.slow
def test_a_renamed_study_goes_on_behind_a_storage_proxy_too(place: Place, proxy: str) -> None:
    place.environment["TUNEGUARD_OPTUNA_PROXY"] = proxy
    worker = dataclasses.replace(place, services=opening.services(settings.read(place.environment))).open()
    finish(worker, claimed(worker), 0.5)
    running = claimed(worker)
    place.rename("kitten", "cat")
    assert worker.rows.renew(running.lease)
    finish(worker, running, 0.6)
    every_command_works(place, "cat", trials=2)
    place.delete("cat")
    with pytest.raises(errors.StudyGone):
        worker.proposer.claim()
    place.command("study", "delete", "cat", "--yes")
    assert place.listed() == {}
