"""What is opened as settings say, and what a wrong one says."""

import importlib.util
import pathlib

import pytest

from optimizer import check, errors, opening, provenance, settings
from optimizer.study import resolved as study
from storage import database


@pytest.mark.slow
@pytest.mark.parametrize("address", ["nonsense", "db.example:", ":13000", "db.example:port"])
def test_a_proxy_that_is_no_host_and_port_is_one_clear_error(
    database: database.Database, home: pathlib.Path, address: str
) -> None:
    environment = {
        "TUNEGUARD_HOME": str(home),
        "TUNEGUARD_DATABASE_URL": database.url,
        "TUNEGUARD_OPTUNA_PROXY": address,
    }
    with pytest.raises(errors.BadInput, match=r"TUNEGUARD_OPTUNA_PROXY=.*must be host:port"):
        opening.services(settings.read(environment))


@pytest.mark.skipif(importlib.util.find_spec("grpc") is not None, reason="gRPC is installed")
def test_a_proxy_without_grpc_says_what_to_install(database: database.Database, home: pathlib.Path) -> None:
    environment = {
        "TUNEGUARD_HOME": str(home),
        "TUNEGUARD_DATABASE_URL": database.url,
        "TUNEGUARD_OPTUNA_PROXY": "127.0.0.1:1",
    }
    with pytest.raises(errors.BadInput, match=r"tuneguard\[proxy\]"):
        opening.services(settings.read(environment))


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="W&B is installed")
def test_a_tracker_that_is_not_installed_is_said_before_anything_runs(tmp_path: pathlib.Path) -> None:
    quickstart = (provenance.checkout() / "examples" / "quickstart" / "study.yaml").read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(quickstart + "launch: {trackers: [wandb]}\n", encoding="utf-8")
    asks = study.draft(tmp_path / "study.yaml")
    assert asks.study.launch.trackers == ("wandb",)
    with pytest.raises(errors.BadInput, match=r"trackers: wandb is not installed"):
        check.check(asks)
