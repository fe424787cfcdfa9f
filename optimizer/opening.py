"""Settings to services: the database, Optuna's storage on it, the store of pictures."""

import dataclasses
import importlib.util
import warnings

import optuna

from optimizer import errors
from optimizer import settings as settings_module
from storage import artifacts, database, migration, optuna_store
from storage.server import embedded

#: how long a storage proxy may take to answer at all
_PROXY_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Services:
    """What every command that touches a database needs."""

    settings: settings_module.Settings
    database: database.Database
    optuna_storage: optuna.storages.BaseStorage
    artifact_store: artifacts.ArtifactStore


def database_url(settings: settings_module.Settings) -> str:
    """The external database, or the embedded one, started if it is not running."""
    if settings.database_url is not None:
        return settings.database_url
    return embedded.start(settings.home, settings.database_port)


def services(settings: settings_module.Settings) -> Services:
    """Open the database, brought to the newest schema, and Optuna's storage on it or behind a proxy.

    Raises:
        errors.BadInput: a proxy is set that cannot be used as it is written.
        errors.ServiceUnreachable: the proxy does not answer.
    """
    opened = database.Database(database_url(settings))
    migration.migrate(opened)
    direct = settings.optuna_proxy is None
    storage = optuna_store.open_storage(opened) if direct else _behind_proxy(settings.optuna_proxy or "")
    return Services(settings, opened, storage, artifacts.open_store(settings.home))


def existing(settings: settings_module.Settings) -> Services:
    """As `services`, for commands that have nothing to do where no database was ever made; see `existing_url`."""
    existing_url(settings)
    return services(settings)


def existing_url(settings: settings_module.Settings) -> str:
    """As `database_url`, but no database is made.

    Raises:
        errors.BadInput: there is none in the data folder.
    """
    if settings.database_url is None and not embedded.status(settings.home).data.exists():
        raise errors.BadInput(
            f"there is no database in {settings.home}: run this in the folder that the study was started in, or name "
            "its data folder by TUNEGUARD_HOME. What makes one: `tuneguard study run FILE`, `tuneguard quickstart`, "
            "`tuneguard db up`"
        )
    return database_url(settings)


def _behind_proxy(address: str) -> optuna.storages.BaseStorage:
    """Optuna's storage through its gRPC proxy; our own tables are read from the database all the same."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise errors.BadInput(f"TUNEGUARD_OPTUNA_PROXY={address!r}: must be host:port, such as db.example:13000")
    if importlib.util.find_spec("grpc") is None:
        raise errors.BadInput("TUNEGUARD_OPTUNA_PROXY needs gRPC: pip install 'tuneguard[proxy]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port))
    try:
        proxy.wait_server_ready(timeout=_PROXY_SECONDS)
    except Exception as error:  # gRPC's own errors have no common public root that could be imported without it
        raise errors.ServiceUnreachable(
            f"no storage proxy answers at {address} (TUNEGUARD_OPTUNA_PROXY): start it, or take the setting out"
        ) from error
    return proxy
