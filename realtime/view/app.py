"""The web application: which path answers what. No path of a client reaches the file system."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from .access import Access
from .board import Board
from .book import SightingBook
from .guard import Guard
from .mjpeg import MjpegResponse
from .openapi import openapi
from .viewers import Viewers

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_INDEX, _LOGIN = "index.html", "login.html"
_HIGHEST_ID = 10**9


def read_assets() -> dict[str, bytes]:
    """The page's files by name, as they lie in the package."""
    folder = files("rt_seg.realtime.view") / "assets"
    return {each.name: each.read_bytes() for each in folder.iterdir() if Path(each.name).suffix in _TYPES}


Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Parts:
    """What the application answers from.

    Attributes:
        viewers: Those who look.
        board: The stream's state.
        book: Its sightings.
        registry: Its figures for Prometheus.
        recordings: The parts of the recording that are to be played, once there are some.
        assets: The page's files by name.
    """

    viewers: Viewers
    board: Board
    book: SightingBook
    registry: CollectorRegistry
    recordings: tuple[Path, ...] = ()
    assets: Mapping[str, bytes] = field(default_factory=read_assets)


def make_app(parts: Parts, access: Access) -> ASGIApp:
    """The application, guarded."""
    routes = [
        Route("/", _page(parts, _INDEX), name="page"),
        Route("/login", _page(parts, _LOGIN), name="login"),
        Route("/assets/{name}", _asset(parts)),
        Route("/video.mjpg", _video(parts)),
        Route("/recordings/{number:int}.mp4", _recording(parts)),
        Route("/api/state", _state(parts)),
        Route("/api/sightings", _sightings(parts)),
        Route("/api/sightings/{number:int}.jpg", _snapshot(parts)),
        Route("/api/openapi.json", _described),
        Route("/metrics", _metrics(parts)),
        Route("/healthz", _healthy),
        Route("/readyz", _ready(parts)),
        WebSocketRoute("/ws", _socket(parts)),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _say, Exception: _fail})
    return Guard(app, access, parts.assets.get(_LOGIN, b""))


def _page(parts: Parts, name: str) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return _file(parts, name)

    return answer


def _asset(parts: Parts) -> Endpoint:
    async def answer(request: Request) -> Response:
        return _file(parts, request.path_params["name"])

    return answer


def _file(parts: Parts, name: str) -> Response:
    """A file out of the table."""
    if name not in parts.assets:
        raise HTTPException(404, "there is no such file")
    return Response(parts.assets[name], media_type=_TYPES[Path(name).suffix])


def _video(parts: Parts) -> Endpoint:
    async def answer(_request: Request) -> Response:
        if parts.viewers.full:
            raise HTTPException(503, "too many look already")
        return MjpegResponse(parts.viewers)

    return answer


def _recording(parts: Parts) -> Endpoint:
    async def answer(request: Request) -> Response:
        number: int = request.path_params["number"]
        path = parts.recordings[number - 1] if 0 < number <= len(parts.recordings) else None
        if path is None or not path.is_file():
            raise HTTPException(404, "there is no such recording; recordings come at the end of the stream")
        name = f"recording-{number}.mp4"
        return FileResponse(path, media_type="video/mp4", filename=name, content_disposition_type="inline")

    return answer


def _state(parts: Parts) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return JSONResponse(parts.board.state(parts.viewers.count) | {"controls": parts.viewers.desk.controls.values()})

    return answer


def _sightings(parts: Parts) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return JSONResponse({"sightings": [entry.as_dict() for entry in parts.book.entries()]})

    return answer


def _snapshot(parts: Parts) -> Endpoint:
    async def answer(request: Request) -> Response:
        number: int = request.path_params["number"]
        overlay = request.query_params.get("overlay", "1")
        if overlay not in {"0", "1"}:
            raise HTTPException(400, "overlay is 0 or 1")
        jpeg = parts.book.snapshot(number, overlay=overlay == "1") if number <= _HIGHEST_ID else None
        if jpeg is None:
            raise HTTPException(404, "there is no such snapshot")
        return Response(jpeg, media_type="image/jpeg")

    return answer


async def _described(_request: Request) -> Response:
    return JSONResponse(openapi())


def _metrics(parts: Parts) -> Endpoint:
    async def answer(_request: Request) -> Response:
        return Response(generate_latest(parts.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _ready(parts: Parts) -> Endpoint:
    async def answer(_request: Request) -> Response:
        ready = parts.board.ready or parts.board.ended
        return PlainTextResponse("ready\n" if ready else "no picture is segmented now\n", 200 if ready else 503)

    return answer


def _socket(parts: Parts) -> Callable[[WebSocket], Awaitable[None]]:
    async def answer(socket: WebSocket) -> None:
        await parts.viewers.serve(socket)

    return answer


async def _say(_request: Request, error: Exception) -> Response:
    """An error as one line."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "the view failed"
    return PlainTextResponse(f"{detail}\n", status, getattr(error, "headers", None))


async def _fail(request: Request, error: Exception) -> Response:
    """A defect: clients learn nothing of its inside."""
    del error
    return await _say(request, HTTPException(500, "the view failed at this; its other parts go on"))
