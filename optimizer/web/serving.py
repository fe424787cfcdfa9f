"""Binds and serves: never to the open without a token, never to somebody else's port."""

import ipaddress
import socket

import uvicorn

from optimizer import errors, opening
from optimizer.web import app

#: a token that anybody may try from elsewhere must not be guessed
_TOKEN_LENGTH = 12
_LAST_PORT = 65535


def bind(host: str, port: int, token: str | None) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        errors.BadInput: other machines could come in without a token or with a short one; the port is taken; there is
            no such address.
    """
    if not is_loopback(host) and len(token or "") < _TOKEN_LENGTH:
        lacking = "TUNEGUARD_TOKEN is not set" if token is None else "TUNEGUARD_TOKEN is too short"
        raise errors.BadInput(
            f"--host {host}: other machines could reach these pages, but {lacking} (at least {_TOKEN_LENGTH} "
            'characters). Set it, for example by TUNEGUARD_TOKEN="$(openssl rand -hex 16)", or bind to 127.0.0.1.'
        )
    if not 0 <= port <= _LAST_PORT:
        raise errors.BadInput(f"--port {port}: a port is a number from 0 to {_LAST_PORT}")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise errors.BadInput(
            f"cannot listen on {host}, port {port}: {error.strerror}. Stop what uses the "
            "port, or choose another one with --port (0 takes a free one)."
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(services: opening.Services, listening: socket.socket, *, read_only: bool) -> None:
    """Serve until SIGINT or SIGTERM; whoever comes must show the token of the settings, where they have one."""
    made = app.make(services, services.settings.token, read_only)
    config = uvicorn.Config(made, log_level="warning", server_header=False, ws="none")
    uvicorn.Server(config).run(sockets=[listening])


def address(listening: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
