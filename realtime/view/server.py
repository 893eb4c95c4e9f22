"""`Server`: uvicorn on a thread of its own."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from rt_seg.errors import InputError

from .messages import LONGEST_MESSAGE

_MOST_CONNECTIONS = 100  # a page needs six and its WebSocket
_START_SECONDS = 10.0
_STOP_SECONDS = 3.0
_LONGEST_HEAD = 16 * 1024  # bytes of a request's line and headers


class Server:
    """Serves an application until `close`. Thread-safe.

    Args:
        app: What answers.
        listener: A socket that listens; closed by the server.
        beside: Runs on the same event loop as long as the server does; cancelled at the end.
        certificate: Files of certificate and key, for TLS.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        beside: Callable[[], Awaitable[None]],
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self._listener = listener
        self._beside = beside
        self._server = uvicorn.Server(_configure(app, certificate))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rt-seg view server", daemon=True)

    def start(self) -> None:
        """Start serving; returns once the event loop runs."""
        self._thread.start()
        self._looping.wait(_START_SECONDS)

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called on the event loop, soon; after the end it is not."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Close every connection and the socket; a second call does nothing. A thread that hangs is left."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        self._listener.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._looping.set()
            self._listener.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        beside = asyncio.ensure_future(self._beside())
        self._loop.call_soon(self._looping.set)
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            beside.cancel()
            with suppress(asyncio.CancelledError):
                await beside


def _configure(app: ASGIApp, certificate: tuple[Path, Path] | None) -> uvicorn.Config:
    # what clients do wrong is answered to them, and must not fill the terminal
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws=WebSocketsSansIOProtocol,
        ws_max_size=LONGEST_MESSAGE,
        ws_ping_interval=10.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,  # JPEGs do not become smaller
        lifespan="off",
        log_config=None,
        access_log=False,  # addresses of clients, and links with a token
        proxy_headers=False,  # who asks is not taken from a header
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        ssl_certfile=None if certificate is None else certificate[0],
        ssl_keyfile=None if certificate is None else certificate[1],
    )


def check_certificate(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """Both files, if they are given and belong together.

    Raises:
        InputError: With what to give instead.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InputError("--tls-cert and --tls-key go together; give both")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for option, path in (("--tls-cert", certificate), ("--tls-key", key)):
        try:
            path.read_bytes()
        except OSError as exc:
            raise InputError(f"{option} {path}: cannot be read ({exc.strerror or exc}); give a PEM file") from exc
    try:
        # a key with a password would ask for it on the terminal
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as exc:
        raise InputError(
            f"--tls-cert {certificate}, --tls-key {key}: not a PEM certificate with its key, without a password"
        ) from exc
    return certificate, key
