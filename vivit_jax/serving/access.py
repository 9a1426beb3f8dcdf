"""Who may ask: the token, the Host and the Origin of a request, checked before anything else looks at it; and the headers of every answer.

On this machine alone no token is needed. What must be kept out there is a page of another site in the same browser: it can send requests to
localhost, under a name of its own that resolves to it (DNS rebinding), so Host must be a name of this machine, and Origin must be ours.
"""

import dataclasses
import hmac
import urllib.parse

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = ("/healthz",)
COOKIE_SECONDS = 7 * 24 * 3600

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors "
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


@dataclasses.dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
      local: whether the server listens on this machine alone.
      token: what a request must carry; empty for none.
      public: whether anybody may ask, from any site's page, as behind the proxy of a Hugging Face Space.
    """

    local: bool = True
    token: str = ""
    public: bool = False


class Guarded:
    """An application behind the checks of `Access`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._headers = HEADERS | {"Content-Security-Policy": POLICY + ("*" if access.public else "'none'")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers an HTTP request itself if it is refused, else passes it on; either way the answer gets the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        answer = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that goes no further."""
        headers = request.headers
        if self._access.local and hostname(headers.get("host", "")) not in LOCAL_NAMES:
            return _error(421, "this server answers to localhost alone: open it under that name, or start it with --public if a proxy does")
        if not self._access.public and _from_another_site(headers):
            return _error(403, "this server does not answer the pages of other sites: a proxy before it must pass the header Host on")
        if self._access.token and request.url.path not in OPEN_PATHS:
            return self._without_token(request)
        return None

    def _without_token(self, request: Request) -> Response | None:
        """None for a request that carries the token in a header or a cookie, else an answer.

        The link that the server prints has the token in its address: a browser gets it as a cookie, and goes on to the address without it.
        """
        given = request.query_params.get("token", "")
        cookie = f"vivit_{(request.scope.get('server') or ('', ''))[1]}"
        if request.method == "GET" and request.url.path == "/" and self._is_token(given):
            rest = urllib.parse.urlencode([(key, value) for key, value in request.query_params.multi_items() if key != "token"])
            answer = RedirectResponse(f"./?{rest}" if rest else "./", status_code=303)
            answer.set_cookie(cookie, given, max_age=COOKIE_SECONDS, httponly=True, samesite="lax", secure=request.url.scheme == "https")
            return answer
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if (scheme.lower() == "bearer" and self._is_token(bearer)) or self._is_token(request.cookies.get(cookie, "")):
            return None
        answer = _error(401, "a token is needed: open the link that the server printed, or send the header Authorization: Bearer TOKEN")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._access.token.encode())


def hostname(host: str) -> str:
    """The name in a Host header, without its port.

    >>> hostname("[::1]:8000"), hostname("LocalHost")
    ('::1', 'localhost')
    """
    try:
        return urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _from_another_site(headers: Headers) -> bool:
    """Whether a browser sent the request for a page that is not ours. Programs other than browsers send no Origin."""
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def _error(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
