"""Settings: one reader of the environment, wrong values named."""

import pathlib

import pytest

from optimizer import errors, settings


def test_defaults_keep_everything_in_one_folder_below_the_current_one() -> None:
    read = settings.read({})
    assert read.home == pathlib.Path.cwd() / ".tuneguard"
    assert read.database_url is None
    assert read.run_directory("a", 7) == read.home / "runs" / "a" / "trial-0007"


@pytest.mark.parametrize("value", ["abc", "0", "-1", "70000", "1.5"])
def test_a_variable_that_is_no_usable_number_is_named(value: str) -> None:
    with pytest.raises(errors.BadInput, match="TUNEGUARD_DATABASE_PORT"):
        settings.read({"TUNEGUARD_DATABASE_PORT": value})


def test_the_token_stays_out_of_the_representation() -> None:
    assert "hunter2" not in repr(settings.read({"TUNEGUARD_TOKEN": "hunter2"}))


def test_a_storage_proxy_is_one_setting() -> None:
    assert settings.read({}).optuna_proxy is None
    assert settings.read({"TUNEGUARD_OPTUNA_PROXY": "db.example:13000"}).optuna_proxy == "db.example:13000"
