"""`Guard`: lets through only requests that may come, and gives every answer the headers that keep it safe."""

from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from .access import Access
from .viewers import refuse

_OPEN = ("/healthz", "/readyz", "/login")  # these say nothing of the stream
_LONGEST_FORM = 1024
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'{sockets}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Stands before the application.

    Args:
        app: What answers.
        access: Who may ask.
        login_page: What is shown to those who have not given the token yet.
    """

    def __init__(self, app: ASGIApp, access: Access, login_page: bytes) -> None:
        self._app = app
        self._access = access
        self._login_page = login_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        known = self._access.knows_host(host)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), host if known else None, secure=self._access.secure)
            await send(message)

        if not known:
            await self._refuse(
                scope, receive, send_safely, 421, "this server is not known by that name; use its address"
            )
        elif not self._access.same_origin(headers) and not _is_visit(scope, headers):
            await self._refuse(scope, receive, send_safely, 403, "requests from another site's page are refused")
        elif scope["type"] == "websocket":
            await self._let_look(scope, receive, send, headers)
        else:
            answer = await self._answer(scope, receive, headers)
            await (self._app if answer is None else answer)(scope, receive, send_safely)

    async def _let_look(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        if self._access.admits(headers):
            await self._app(scope, receive, send)
        else:
            await refuse(WebSocket(scope, receive, send), "the token is missing or wrong; open the link with the token")

    async def _answer(self, scope: Scope, receive: Receive, headers: Headers) -> Response | None:
        """What is answered in place of the application, if anything."""
        path: str = scope["path"]
        if path == "/login" and scope["method"] == "POST":
            return self._log_in(headers, (await _form(Request(scope, receive))).get("token", ""))
        if path in _OPEN or path.startswith("/assets/"):
            return None
        if path == "/" and (token := _token_of(scope)):
            return self._log_in(headers, token)
        if self._access.admits(headers):
            return None
        if path == "/":
            return Response(self._login_page, 401, {"WWW-Authenticate": "Bearer"}, "text/html; charset=utf-8")
        return PlainTextResponse("the token is missing or wrong\n", 401, {"WWW-Authenticate": "Bearer"})

    def _log_in(self, headers: Headers, token: str) -> Response:
        """From a link or form with the token to the page without it, so that it stays in no history."""
        if not self._access.admits(headers, token):
            return Response(self._login_page, 401, {"WWW-Authenticate": "Bearer"}, "text/html; charset=utf-8")
        return RedirectResponse("/", 303, {"Set-Cookie": self._access.set_cookie})

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close()  # before it is accepted: an HTTP 403
        else:
            await PlainTextResponse(f"{reason}\n", status)(scope, receive, send)


def _add_headers(headers: MutableHeaders, host: str | None, *, secure: bool) -> None:
    # some browsers do not count a WebSocket to the same place among 'self'
    sockets = "" if host is None else f" {'wss' if secure else 'ws'}://{host}"
    headers["Content-Security-Policy"] = _POLICY.format(sockets=sockets)
    for name, value in _HEADERS.items():
        headers[name] = value


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Whether somebody followed a link to the page: that is no request of the other page's own."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and scope["path"] == "/"
        and "origin" not in headers
        and headers.get("sec-fetch-mode") == "navigate"
    )


def _token_of(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    return (
        next(iter(parse_qs(query, max_num_fields=8).get("token", [])), "") if "token=" in query[:_LONGEST_FORM] else ""
    )


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return {}
    try:
        return {name: values[0] for name, values in parse_qs(body.decode("ascii", "replace"), max_num_fields=8).items()}
    except ValueError:
        return {}
