"""Who may ask for what: methods, the token, and the headers of every response."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PARAMETER: Final = "token"
"""The parameter of an address that has the token."""

METHODS: Final = ("GET", "HEAD")

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of pages that have none of their own."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Other sites cannot include what is served here, such as a script that holds data.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SafeHeaders:
    """Adds headers to every response that keep browsers from running or leaking what it has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


@dataclass(frozen=True)
class Key:
    """The token that requests must have, and the cookie in which a browser keeps it."""

    token: str
    cookie: str

    def opens(self, given: str | None) -> bool:
        """Return whether a text is the token. The time that it takes does not depend on it."""
        return given is not None and secrets.compare_digest(given.encode(), self.token.encode())


class Access:
    """Lets requests pass that only read and, if there is a key, have its token."""

    def __init__(self, app: ASGIApp, key: Key | None) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it."""
        response = self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (response or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if request.method not in METHODS:
            text = "Only GET and HEAD are served.\n"
            return PlainTextResponse(text, 405, {"Allow": ", ".join(METHODS)})
        if self._key is None:
            return None
        if self._key.opens(request.query_params.get(PARAMETER)):
            return self._with_cookie(request, self._key)
        if self._key.opens(request.cookies.get(self._key.cookie)):
            return None
        text = "The token is missing or wrong: use the address that `jepsenvm serve` printed.\n"
        return PlainTextResponse(text, 401)

    def _with_cookie(self, request: Request, key: Key) -> Response:
        """Return a redirection to the same address without the token, which the cookie has then."""
        rest = [pair for pair in request.query_params.multi_items() if pair[0] != PARAMETER]
        # A path that begins with two slashes would lead to another host.
        path = "/" + request.url.path.lstrip("/")
        response = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)
        response.set_cookie(key.cookie, key.token, httponly=True, samesite="strict")
        return response
