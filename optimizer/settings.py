"""The settings of this machine, and the only reader of the environment."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from optimizer import errors
from trainers.contract import paths


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where things are kept and how services are reached; each field is one `TUNEGUARD_` variable."""

    #: data folder: embedded Postgres, runs, artifacts, caches (TUNEGUARD_HOME)
    home: pathlib.Path
    #: an external Postgres; None starts the embedded one (TUNEGUARD_DATABASE_URL)
    database_url: str | None
    #: port of the embedded Postgres; None takes a free one (TUNEGUARD_DATABASE_PORT)
    database_port: int | None
    #: host:port of Optuna's gRPC storage proxy, for very many workers; None reads the database itself
    #: (TUNEGUARD_OPTUNA_PROXY)
    optuna_proxy: str | None
    #: what a browser must show to be let in; without it the web binds to loopback alone (TUNEGUARD_TOKEN)
    token: str | None = dataclasses.field(repr=False)
    #: seconds a worker may be silent before another takes its trial up (TUNEGUARD_LEASE_SECONDS)
    lease_seconds: float
    #: seconds a worker waits for a database that went away (TUNEGUARD_DATABASE_WAIT)
    database_wait_seconds: float
    #: threads a trainer process uses on the CPU; None leaves it to torch (TUNEGUARD_TRAINER_THREADS)
    trainer_threads: int | None

    @property
    def runs(self) -> pathlib.Path:
        return self.home / "runs"

    @property
    def cache(self) -> pathlib.Path:
        return self.home / "cache"

    @property
    def artifacts(self) -> pathlib.Path:
        return self.home / "artifacts"

    def run_directory(self, folder: str, trial: int) -> pathlib.Path:
        """The folder of one trial; `folder` is its study's own (`storage.studies.StudyRow.folder`)."""
        return self.runs / folder / f"trial-{trial:04d}"

    def trial_paths(self, folder: str, trial: int) -> paths.TrialPaths:
        """Where everything of one trial lies."""
        return paths.TrialPaths(self.run_directory(folder, trial))


#: variable -> what it sets; the reference page is written from this
VARIABLES = {
    "TUNEGUARD_HOME": "data folder: embedded Postgres, runs, artifacts, caches (default .tuneguard)",
    "TUNEGUARD_DATABASE_URL": "an external Postgres, postgresql://user:password@host:port/name (default: embedded)",
    "TUNEGUARD_DATABASE_PORT": "port of the embedded Postgres (default: the one it had, or a free one)",
    "TUNEGUARD_OPTUNA_PROXY": "host:port of Optuna's gRPC storage proxy (default: the database itself)",
    "TUNEGUARD_TOKEN": "token that the web pages ask for; needed to bind them to anything but loopback",
    "TUNEGUARD_LEASE_SECONDS": "seconds a worker may be silent before its trial is taken up by another (default 60)",
    "TUNEGUARD_DATABASE_WAIT": "seconds a worker waits for a database that went away, and trains on (default 600)",
    "TUNEGUARD_TRAINER_THREADS": "threads of a trainer process on the CPU (default: torch's own choice)",
}


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        errors.BadInput: a variable that must be a number is none.
    """
    url = environment.get("TUNEGUARD_DATABASE_URL") or None
    wait = _whole(environment, "TUNEGUARD_DATABASE_WAIT", low=0, high=7 * 86400)
    return Settings(
        home=pathlib.Path(environment.get("TUNEGUARD_HOME") or ".tuneguard").expanduser().absolute(),
        database_url=url,
        database_port=_whole(environment, "TUNEGUARD_DATABASE_PORT", low=1, high=65535),
        optuna_proxy=environment.get("TUNEGUARD_OPTUNA_PROXY") or None,
        token=environment.get("TUNEGUARD_TOKEN") or None,
        lease_seconds=float(_whole(environment, "TUNEGUARD_LEASE_SECONDS", low=1, high=86400) or 60),
        database_wait_seconds=600.0 if wait is None else float(wait),
        trainer_threads=_whole(environment, "TUNEGUARD_TRAINER_THREADS", low=1, high=1024),
    )


def _whole(environment: Mapping[str, str], name: str, *, low: int, high: int) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not (text.isdecimal() and low <= int(text) <= high):
        raise errors.BadInput(f"{name}={text!r}: must be a whole number from {low} to {high}")
    return int(text)
