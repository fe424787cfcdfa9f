"""Tuneguard's own pages: the list of studies, a study's report, the log-in."""

import dataclasses
import hmac
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from starlette import requests, responses

from optimizer import opening
from optimizer.report import gather as reporting
from optimizer.report import html
from optimizer.results import reading, records, repeats
from optimizer.study import resolved as study_module
from optimizer.web import access
from storage import errors as storage_errors
from storage import refusals, workers
from storage import studies as stored_studies

#: a worker beats at every third of its lease; one that is silent for two leases is gone
_ALIVE_LEASES = 2

_FORM_BYTES = 10_000

_STYLE_ONLY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'"
)
_WITH_FIGURES = f"{_STYLE_ONLY}; script-src 'unsafe-inline'"

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"value": html.value, "words": html.words}


@dataclasses.dataclass(frozen=True)
class ListedStudy:
    """A study as the list shows it. `dashboard` is its page in optuna-dashboard, None where it was deleted there."""

    name: str
    created: str
    trials: Mapping[str, int]
    refused: int
    refused_by: Mapping[str, int]
    best: records.TrialRecord | None
    dashboard: str | None


@dataclasses.dataclass(frozen=True)
class Pages:
    """The handlers; plain functions, run in threads."""

    services: opening.Services
    token: str | None
    read_only: bool

    def studies(self, request: requests.Request) -> responses.Response:
        """All studies, newest first, and the workers that are alive."""
        found = reading.all_records(self.services.database)
        seconds = _ALIVE_LEASES * self.services.settings.lease_seconds
        return page(
            "studies.html",
            studies=[self._row(*each) for each in reversed(found)],
            workers=workers.alive(self.services.database, seconds),
            read_only=self.read_only,
            token=self.token is not None,
        )

    def report(self, request: requests.Request) -> responses.Response:
        """A study's report, made now."""
        _, study = reading.stored_study(self.services.database, request.path_params["name"])
        content = html.render(reporting.gather(self.services, study), home="/tuneguard/")
        return responses.HTMLResponse(content, headers={"Content-Security-Policy": _WITH_FIGURES})

    def login(self, request: requests.Request) -> responses.Response:
        """Where a person gives the token."""
        return page("login.html", wrong=False, next=access.local_path(request.query_params.get("next", "")))

    def logout(self, request: requests.Request) -> responses.Response:
        """Forget this browser."""
        answer = responses.RedirectResponse(access.LOGIN, 303)
        answer.delete_cookie(access.COOKIE, httponly=True, samesite="strict")
        return answer

    def health(self, request: requests.Request) -> responses.Response:
        """For health checks: whether the database answers."""
        with self.services.database.transaction():
            return responses.PlainTextResponse("ok\n")

    def _row(
        self, study: stored_studies.StudyRow, spec: study_module.Study, trials: Sequence[records.TrialRecord]
    ) -> ListedStudy:
        counts: dict[str, int] = {}
        for trial in trials:
            counts[trial.state] = counts.get(trial.state, 0) + 1
        return ListedStudy(
            name=study.name,
            created=f"{study.created_at:%Y-%m-%d %H:%M}",
            trials=counts,
            refused=refusals.total(self.services.database, study.id),
            refused_by=refusals.count_by_rule(self.services.database, study.id),
            best=repeats.best_trial(trials, spec.objectives),
            dashboard=None if study.optuna_id is None else f"/dashboard/studies/{study.optuna_id}",
        )


async def log_in(request: requests.Request) -> responses.Response:
    """Take the token that the form sends; a right one is answered with the cookie."""
    pages: Pages = request.app.state.pages
    form = urllib.parse.parse_qs((await _body(request)).decode("utf-8", "replace"))
    target = access.local_path(form.get("next", [""])[0])
    given = form.get("token", [""])[0].strip()
    if pages.token is None or not hmac.compare_digest(given.encode(), pages.token.encode()):
        return page("login.html", 403, wrong=True, next=target)
    answer = responses.RedirectResponse(target, 303)
    answer.set_cookie(
        access.COOKIE,
        access.cookie_of(pages.token),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


async def _body(request: requests.Request) -> bytes:
    """The first bytes of what was sent; a form is short, and whoever sends more is not logged in."""
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > _FORM_BYTES:
            break
    return body[:_FORM_BYTES]


def not_there(request: requests.Request, error: Exception) -> responses.Response:
    return page("error.html", 404, title="Not found", message=str(error))


def unreachable(request: requests.Request, error: Exception) -> responses.Response:
    return page("error.html", 503, title="The database cannot be reached", message=str(error))


#: what storage raises -> how a person is told
ERRORS = {storage_errors.NotFound: not_there, storage_errors.DatabaseUnreachable: unreachable}


def page(template: str, status: int = 200, **content: Any) -> responses.Response:
    """One of our pages, with a policy that lets it run no script."""
    text = _templates.get_template(template).render(**content)
    return responses.HTMLResponse(text, status, headers={"Content-Security-Policy": _STYLE_ONLY})
