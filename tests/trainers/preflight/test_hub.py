"""What the hub says of a repository that is not cached here, against a hub of our own."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from trainers.preflight import base_files, hub


class Hub(http.server.BaseHTTPRequestHandler):
    """Knows one model, one that asks for a log-in, and no other."""

    def do_GET(self) -> None:
        if self.path.endswith("/there/whole"):
            files = [{"rfilename": "model_index.json"}]
            self._answer(200, {"id": "there/whole", "siblings": files})
        elif self.path.endswith("/there/gated"):
            self._answer(403, {}, "GatedRepo")
        else:
            self._answer(404, {}, "RepoNotFound")

    def _answer(self, code: int, content: Any, error: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def own_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("own_hub")
def test_a_model_that_the_hub_has_can_be_had() -> None:
    assert base_files.problems("there/whole") == []
    assert "holds no other.json" in str(hub.problem("there/whole", "other.json"))


@pytest.mark.usefixtures("own_hub")
def test_a_dead_id_names_itself() -> None:
    (problem,) = base_files.problems("runwayml/stable-diffusion-v1-5")
    assert "the hub knows no 'runwayml/stable-diffusion-v1-5': it was removed" in problem


@pytest.mark.usefixtures("own_hub")
def test_a_gated_model_asks_for_a_log_in() -> None:
    (problem,) = base_files.problems("there/gated")
    assert "hf auth login" in problem


def test_a_hub_that_cannot_be_reached_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (problem,) = base_files.problems("there/whole")
    assert "is not cached here, and the hub cannot be asked" in problem
    assert "hf download there/whole" in problem
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (problem,) = base_files.problems("there/whole")
    assert "HF_HUB_OFFLINE is set" in problem
