"""The door before every page: who may come in, what may be changed, and what a browser is told to forbid.

optuna-dashboard has no log-in, no read-only mode and lets any page read its artifacts; it gets all three here.
"""

import dataclasses
import hashlib
import hmac
import urllib.parse

from starlette import datastructures, requests, responses, types

LOGIN = "/tuneguard/login"
#: reachable without a token: the log-in itself, and what a container's health check asks
OPEN = frozenset({LOGIN, "/tuneguard/health"})
COOKIE = "tuneguard"

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
#: an uploaded page opens without scripts and without our origin, so it cannot act in our name
_SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'"


@dataclasses.dataclass(frozen=True)
class Access:
    """ASGI middleware. `token` None lets everybody in, but only by a loopback name, so that no web page that points a
    name of its own at this machine (DNS rebinding) can. `read_only` lets nothing be changed by anybody.
    """

    app: types.ASGIApp
    token: str | None
    read_only: bool

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = requests.Request(scope)
        answer = self._refusal(request)
        app = self.app if answer is None else answer
        await app(scope, receive, _Headers(send, request.url.path))

    def _refusal(self, request: requests.Request) -> responses.Response | None:
        """What is answered instead of the page; None lets the request through."""
        if self.token is None and request.url.hostname not in _LOOPBACK:
            return _text(403, "Open this page by the name localhost or 127.0.0.1, or set TUNEGUARD_TOKEN.")
        if request.method not in _READING and not _is_from_our_own_page(request):
            return _text(403, "This request comes from another site.")
        if self.token is not None and request.url.path not in OPEN and not is_known(request, self.token):
            return _ask_for_token(request)
        if self.read_only and request.method not in _READING and request.url.path not in OPEN:
            return _text(403, "These pages are read-only: nothing can be changed here.")
        return None


def is_known(request: requests.Request, token: str) -> bool:
    """Whether a request shows the token, as a bearer or by the cookie that the log-in page sets."""
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    bearer = shown if kind.lower() == "bearer" else ""
    cookie = request.cookies.get(COOKIE, "")
    # both compared always and in constant time, so that the time taken tells nothing
    by_bearer = hmac.compare_digest(bearer.encode(), token.encode())
    by_cookie = hmac.compare_digest(cookie.encode(), cookie_of(token).encode())
    return by_bearer or by_cookie


def cookie_of(token: str) -> str:
    """What the browser keeps instead of the token: it opens these pages, but does not tell the token."""
    return hmac.new(token.encode(), b"tuneguard web session", hashlib.sha256).hexdigest()


def local_path(path: str) -> str:
    """A place on this site to go on to, whatever a link says."""
    parts = urllib.parse.urlsplit(path)
    safe = path.startswith("/") and not parts.scheme and not parts.netloc and "\\" not in path and path.isprintable()
    return path if safe and not path.startswith("//") else "/tuneguard/"


def _is_from_our_own_page(request: requests.Request) -> bool:
    """Browsers name the origin of whatever changes things; other programs do not name any."""
    origin = request.headers.get("origin")
    return origin is None or urllib.parse.urlsplit(origin).netloc == request.headers.get("host")


def _ask_for_token(request: requests.Request) -> responses.Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return responses.RedirectResponse(f"{LOGIN}?{urllib.parse.urlencode({'next': target})}", 303)
    answer = _text(401, "A token is needed: send it as `Authorization: Bearer TOKEN`, or log in at /tuneguard/login.")
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _text(status: int, text: str) -> responses.Response:
    return responses.PlainTextResponse(text + "\n", status)


@dataclasses.dataclass(frozen=True)
class _Headers:
    """Adds to every answer what browsers need to be told."""

    send: types.Send
    path: str

    async def __call__(self, message: types.Message) -> None:
        if message["type"] == "http.response.start":
            headers = datastructures.MutableHeaders(scope=message)
            for name, value in _ALWAYS.items():
                headers[name] = value
            if self.path.startswith("/artifacts/"):
                headers["Content-Security-Policy"] = _SANDBOX
                del headers["Access-Control-Allow-Origin"]
            elif "frame-ancestors" not in (policy := headers.get("Content-Security-Policy", "")):
                headers["Content-Security-Policy"] = f"{policy};frame-ancestors 'none'".lstrip(";")
            if not self.path.startswith("/static/"):
                headers["Cache-Control"] = "no-store"
        await self.send(message)
