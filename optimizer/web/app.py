"""Puts the pages together: ours first, optuna-dashboard for all the rest, the door before both."""

import warnings

import a2wsgi
import optuna
import optuna_dashboard
from starlette import applications, responses, routing, types

from optimizer import opening
from optimizer.web import access, pages


def make(services: opening.Services, token: str | None, read_only: bool) -> types.ASGIApp:
    """The whole web application.

    Args:
        services: database, Optuna's storage, artifacts.
        token: what a browser or script must show; None lets in whoever comes by a loopback name.
        read_only: refuse whatever would change something, here and in the dashboard.
    """
    own = pages.Pages(services, token, read_only)
    application = applications.Starlette(
        routes=[
            # optuna-dashboard expects to own `/`, but only to send people on to `/dashboard`
            routing.Route("/", lambda request: responses.RedirectResponse("/tuneguard/"), methods=["GET"]),
            routing.Route("/tuneguard", lambda request: responses.RedirectResponse("/tuneguard/"), methods=["GET"]),
            routing.Route("/tuneguard/", own.studies),
            routing.Route("/tuneguard/studies/{name:path}/report", own.report),
            routing.Route("/tuneguard/health", own.health),
            routing.Route(access.LOGIN, own.login, methods=["GET"]),
            routing.Route(access.LOGIN, pages.log_in, methods=["POST"]),
            routing.Route("/tuneguard/logout", own.logout, methods=["POST"]),
            routing.Mount("/tuneguard", routes=[]),
            routing.Mount("/", _dashboard(services)),
        ],
        exception_handlers=dict(pages.ERRORS),
    )
    application.state.pages = own
    return access.Access(application, token, read_only)


def _dashboard(services: opening.Services) -> types.ASGIApp:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        wsgi = optuna_dashboard.wsgi(services.optuna_storage, artifact_store=services.artifact_store)
    bridged: types.ASGIApp = a2wsgi.WSGIMiddleware(wsgi)
    return bridged
