import pathlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
import uvicorn
from starlette import testclient

from optimizer import attributes, errors, opening, settings
from optimizer.study import resolved as studies
from optimizer.trials import beginning
from optimizer.web import access, app, serving
from storage import artifacts, optuna_store, refusals, results, workers
from storage import database as db
from storage import studies as stored_studies
from tests.storage import holding

pytestmark = pytest.mark.slow

TOKEN = "a token that is long enough"
DOCUMENT = """\
study_version: 1
name: kitten
base: demo
dataset: /nowhere
space:
  learning_rate: {float: [1.0e-5, 1.0e-2], log: true}
objectives: {clip_score: maximize, failure_rate: minimize}
evaluation:
  prompts: [a cat, a dog]
"""
#: eight pixels, for a file that a browser shows
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db0"
    "0000000049454e44ae426082"
)


@pytest.fixture
def services(database: db.Database, home: pathlib.Path) -> opening.Services:
    """A study with a usable trial, a better one that is unusable, and a refused point."""
    made = opening.Services(
        settings.read({"TUNEGUARD_HOME": str(home)}),
        database,
        optuna_store.open_storage(database),
        artifacts.open_store(home),
    )
    spec = studies.parse(DOCUMENT, "kitten")
    with made.database.transaction() as connection:
        stored = beginning.keep_study(connection, spec)
    study = optuna.load_study(study_name="kitten", storage=made.optuna_storage)
    space = {"learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True)}
    usable = study.ask(space)
    picture = home / "picture.png"
    picture.write_bytes(PIXEL)
    running = study.trials[usable.number]
    artifact = artifacts.upload(made.artifact_store, made.optuna_storage, running, picture)
    page = home / "page.html"
    page.write_text("<script>alert(1)</script>")
    artifacts.upload(made.artifact_store, made.optuna_storage, running, page)
    lease = holding.take(database, stored.id, usable.number, "ada")
    assert lease is not None
    image = {"path": str(picture), "prompt": "a cat", "seed": 1, "held_out": False, "artifact": artifact}
    with holding.telling(database, lease) as connection:
        result = results.TrialResult(usable.number, "usable", {"clip_score": 0.25}, [image])
        results.record(connection, lease, result)
    study.tell(usable, [0.25, 0.0])
    unusable = study.ask(space)
    unusable.set_constraint(attributes.TRAINING, 1.0)
    unusable.set_user_attr("clip_score", 0.99)
    study.tell(unusable, state=optuna.trial.TrialState.PRUNED)
    refused = refusals.Refusal({"learning_rate": 1e-2}, ("rate",), {"rate": 0.1}, "sampled")
    with database.transaction() as connection:
        refusals.record(connection, stored.id, [refused])
    return made


def client(services: opening.Services, token: str | None = None, read_only: bool = False) -> testclient.TestClient:
    return testclient.TestClient(
        app.make(services, token, read_only), base_url="http://localhost:8080", follow_redirects=False
    )


def study_id(services: opening.Services) -> int:
    return services.optuna_storage.get_study_id_from_name("kitten")


def test_the_list_says_how_each_study_stands(services: opening.Services) -> None:
    workers.register(services.database, "gpu-host", 77, "cuda:0")
    page = client(services).get("/tuneguard/").text
    for said in ("kitten", "1 usable", "1 unusable", "clip score 0.25", "<code>rate</code> 1", "gpu-host, process 77"):
        assert said in page, said
    assert f'href="/dashboard/studies/{study_id(services)}"' in page
    assert "trial 0: clip score 0.25" in page


def test_a_study_that_the_dashboard_renamed_or_deleted_is_still_listed(services: opening.Services) -> None:
    optuna.delete_study(study_name="kitten", storage=services.optuna_storage)
    page = client(services).get("/tuneguard/")
    assert page.status_code == 200
    assert "kitten" in page.text
    assert "In the Optuna dashboard" not in page.text


def test_an_empty_database_says_how_to_begin(services: opening.Services) -> None:
    stored_studies.delete(services.database, stored_studies.get(services.database, "kitten").id)
    page = client(services).get("/tuneguard/").text
    assert "No studies yet" in page
    assert "None is alive" in page


def test_the_report_is_made_when_it_is_asked_for(services: opening.Services) -> None:
    answer = client(services).get("/tuneguard/studies/kitten/report")
    assert answer.status_code == 200
    assert "data:image/webp" in answer.text
    assert "script-src 'unsafe-inline'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/tuneguard/studies/dog/report", "/tuneguard/nonsense"])
def test_what_is_not_there_is_not_found(services: opening.Services, path: str) -> None:
    assert client(services).get(path).status_code == 404


def test_a_database_that_went_away_is_told_without_a_traceback(services: opening.Services) -> None:
    gone = db.Database(services.database.url.replace("/test_", "/gone_"))
    lost = opening.Services(services.settings, gone, services.optuna_storage, services.artifact_store)
    answer = client(lost).get("/tuneguard/")
    assert answer.status_code == 503
    assert "cannot be used" in answer.text
    assert client(lost).get("/tuneguard/health").status_code == 503
    assert client(services).get("/tuneguard/health").text == "ok\n"


def test_the_dashboard_is_at_the_root_and_shows_trials_and_artifacts(services: opening.Services) -> None:
    browser = client(services)
    assert browser.get("/").headers["location"] == "/tuneguard/"
    assert "<html" in browser.get("/dashboard").text
    assert browser.get("/static/bundle.js").status_code == 200
    listed = browser.get("/api/studies").json()["study_summaries"]
    assert [study["study_name"] for study in listed] == ["kitten"]
    detail = browser.get(f"/api/studies/{study_id(services)}").json()
    shown = next(artifact for artifact in detail["trials"][0]["artifacts"] if artifact["filename"] == "picture.png")
    trial_id = detail["trials"][0]["trial_id"]
    picture = browser.get(f"/artifacts/{study_id(services)}/{trial_id}/{shown['artifact_id']}")
    assert picture.content == PIXEL


def test_the_dashboard_never_calls_an_unusable_trial_the_best(services: opening.Services) -> None:
    detail = client(services).get(f"/api/studies/{study_id(services)}").json()
    assert [trial["number"] for trial in detail["best_trials"]] == [0]
    assert [trial["state"] for trial in detail["trials"]] == ["Complete", "Pruned"]


def test_the_dashboard_takes_scores_at_points_of_a_study_with_several_objectives(services: opening.Services) -> None:
    study = optuna.load_study(study_name="kitten", storage=services.optuna_storage)
    running = study.ask()
    services.optuna_storage.set_trial_intermediate_value(running._trial_id, 64, 0.21)
    services.optuna_storage.set_trial_intermediate_value(running._trial_id, 128, 0.23)
    detail = client(services).get(f"/api/studies/{study_id(services)}").json()
    assert detail["has_intermediate_values"]
    assert detail["trials"][-1]["intermediate_values"] == [{"step": 64, "value": 0.21}, {"step": 128, "value": 0.23}]


def test_an_uploaded_page_runs_no_script_and_is_not_readable_from_elsewhere(services: opening.Services) -> None:
    browser = client(services)
    detail = browser.get(f"/api/studies/{study_id(services)}").json()
    page = next(artifact for artifact in detail["trials"][0]["artifacts"] if artifact["filename"] == "page.html")
    answer = browser.get(f"/artifacts/{study_id(services)}/{detail['trials'][0]['trial_id']}/{page['artifact_id']}")
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert "access-control-allow-origin" not in answer.headers


PLACES = [
    "/",
    "/tuneguard/",
    "/tuneguard/studies/kitten/report",
    "/dashboard",
    "/api/studies",
    "/static/bundle.js",
    "/csv/1",
]


@pytest.mark.parametrize("path", PLACES)
def test_without_the_token_nothing_is_shown(services: opening.Services, path: str) -> None:
    browser = client(services, TOKEN)
    assert browser.get(path).status_code == 401
    assert browser.get(path, headers={"authorization": "Bearer guess"}).status_code == 401
    assert browser.get(path, headers={"authorization": f"Basic {TOKEN}"}).status_code == 401
    asked = browser.get(path, headers={"accept": "text/html"})
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/tuneguard/login?next=")
    assert browser.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in (200, 302, 307, 404)


def test_the_log_in_sets_a_cookie_that_opens_everything_and_is_not_the_token(services: opening.Services) -> None:
    browser = client(services, TOKEN)
    assert "Log in" in browser.get("/tuneguard/login?next=/dashboard").text
    wrong = browser.post("/tuneguard/login", data={"token": "guess", "next": "/dashboard"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
    right = browser.post("/tuneguard/login", data={"token": TOKEN, "next": "/dashboard"})
    assert (right.status_code, right.headers["location"]) == (303, "/dashboard")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert browser.get("/api/studies").status_code == 200
    assert "Log out" in browser.get("/tuneguard/").text
    browser.post("/tuneguard/logout")
    assert browser.get("/api/studies").status_code == 401


def test_https_makes_the_cookie_secure(services: opening.Services) -> None:
    browser = testclient.TestClient(app.make(services, TOKEN, False), base_url="https://host", follow_redirects=False)
    assert "Secure" in browser.post("/tuneguard/login", data={"token": TOKEN}).headers["set-cookie"]


def test_a_cookie_of_another_token_opens_nothing(services: opening.Services) -> None:
    browser = client(services, TOKEN)
    browser.cookies.set(access.COOKIE, access.cookie_of("the token of yesterday"))
    assert browser.get("/api/studies").status_code == 401


@pytest.mark.parametrize(
    ("target", "taken"),
    [
        ("/dashboard/studies/1?x=2", "/dashboard/studies/1?x=2"),
        ("https://evil.example/", "/tuneguard/"),
        ("//evil.example/", "/tuneguard/"),
        ("/\\evil.example", "/tuneguard/"),
        ("/\n/evil.example", "/tuneguard/"),
        ("javascript:alert(1)", "/tuneguard/"),
        ("", "/tuneguard/"),
    ],
)
def test_the_log_in_only_goes_on_to_a_place_of_this_site(target: str, taken: str) -> None:
    assert access.local_path(target) == taken


def test_the_database_health_needs_no_token(services: opening.Services) -> None:
    assert client(services, TOKEN).get("/tuneguard/health").status_code == 200


CHANGES = [
    ("POST", "/api/studies", {"study_name": "new", "directions": ["minimize"]}),
    ("DELETE", "/api/studies/{study}", {}),
    ("POST", "/api/studies/{study}/rename", {"study_name": "dog"}),
    ("PUT", "/api/studies/{study}/note", {"body": "x", "version": 1}),
]


@pytest.mark.parametrize(("method", "path", "content"), CHANGES, ids=[f"{each[0]} {each[1]}" for each in CHANGES])
def test_read_only_refuses_every_change_and_still_shows(
    services: opening.Services, method: str, path: str, content: dict[str, Any]
) -> None:
    browser = client(services, read_only=True)
    answer = browser.request(method, path.format(study=study_id(services)), json=content)
    assert (answer.status_code, "read-only" in answer.text) == (403, True)
    assert browser.get(f"/api/studies/{study_id(services)}").status_code == 200
    assert optuna.get_all_study_names(services.optuna_storage) == ["kitten"]
    assert "read-only" in browser.get("/tuneguard/").text


def test_read_only_pages_can_be_logged_into(services: opening.Services) -> None:
    browser = client(services, TOKEN, read_only=True)
    assert browser.post("/tuneguard/login", data={"token": TOKEN}).status_code == 303
    assert browser.get("/api/studies").status_code == 200
    assert browser.post("/api/studies", json={}).status_code == 403


def test_another_site_cannot_change_anything(services: opening.Services) -> None:
    browser = client(services)
    path = f"/api/studies/{study_id(services)}/note"
    note = {"body": "x", "version": 1}
    assert browser.put(path, json=note, headers={"origin": "http://evil.example"}).status_code == 403
    assert browser.put(path, json=note, headers={"origin": "null"}).status_code == 403
    assert browser.put(path, json=note, headers={"origin": "http://localhost:8080"}).status_code == 204


def test_without_a_token_only_loopback_names_are_answered(services: opening.Services) -> None:
    rebound = testclient.TestClient(app.make(services, None, False), base_url="http://evil.example")
    assert rebound.get("/api/studies").status_code == 403
    for name in ("127.0.0.1:8080", "[::1]:8080", "localhost"):
        same = testclient.TestClient(app.make(services, None, False), base_url=f"http://{name}")
        assert same.get("/api/studies").status_code == 200


@pytest.mark.parametrize("path", ["/tuneguard/", "/dashboard", "/tuneguard/login"])
def test_no_page_can_be_framed(services: opening.Services, path: str) -> None:
    answer = client(services).get(path)
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "some-host"])
@pytest.mark.parametrize(("token", "said"), [(None, "is not set"), ("short", "is too short")])
def test_other_machines_are_not_let_in_without_a_good_token(host: str, token: str | None, said: str) -> None:
    with pytest.raises(errors.BadInput, match=f"TUNEGUARD_TOKEN {said}"):
        serving.bind(host, 0, token)


def test_a_port_that_is_taken_or_impossible_is_an_error_that_names_it() -> None:
    with serving.bind("127.0.0.1", 0, None) as first:
        port = first.getsockname()[1]
        with pytest.raises(errors.BadInput, match=f"port {port}: Address already in use.*--port"):
            serving.bind("127.0.0.1", port, None)
    with pytest.raises(errors.BadInput, match="port 99999"):
        serving.bind("127.0.0.1", 99999, None)
    with pytest.raises(errors.BadInput, match=r"192\.0\.2\.1, port 0"):
        serving.bind("192.0.2.1", 0, TOKEN)


def test_the_address_is_one_that_a_browser_here_can_open() -> None:
    with serving.bind("0.0.0.0", 0, TOKEN) as listening:
        assert serving.address(listening) == f"http://localhost:{listening.getsockname()[1]}/"
    with serving.bind("localhost", 0, None) as listening:
        assert serving.address(listening).startswith("http://127.0.0.1:")


@pytest.fixture
def running(services: opening.Services) -> Iterator[str]:
    """The application behind a real server."""
    listening = serving.bind("127.0.0.1", 0, None)
    server = uvicorn.Server(uvicorn.Config(app.make(services, None, True), log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield serving.address(listening)
    server.should_exit = True
    thread.join()
    listening.close()


def browse(url: str, folder: pathlib.Path) -> str:
    """The page as a browser has it once its scripts have run."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    flags += f" --disable-sync --no-first-run --virtual-time-budget=10000 --user-data-dir={folder} --dump-dom"
    return subprocess.run(
        [chromium, *flags.split(), url], capture_output=True, text=True, check=True, timeout=120
    ).stdout


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_draws_the_reports_figures(running: str, tmp_path: pathlib.Path) -> None:
    page = browse(f"{running}tuneguard/studies/kitten/report", tmp_path)
    assert page.count('class="main-svg"') >= 2


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_shows_the_best_trial_in_the_dashboard(
    running: str, services: opening.Services, tmp_path: pathlib.Path
) -> None:
    page = browse(f"{running}dashboard/studies/{study_id(services)}", tmp_path)
    assert "kitten" in page
    assert re.search(r"Best Trial", page)
    assert "0.99" not in page
