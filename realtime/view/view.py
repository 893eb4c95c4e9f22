"""`View`: all parts of the live view, put together for one stream."""

import socket
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rt_seg.engines.engine import EngineInfo
from rt_seg.realtime.controls import Controls
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.outlet import RECORDING, Part
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.sinks.sink import Sink
from rt_seg.realtime.sources.source import SourceInfo
from rt_seg.realtime.statistics import Statistics

from .access import Access, choose_token
from .address import Address, open_listener, parse_address
from .app import Parts, make_app
from .board import LIMITS, Board
from .book import SightingBook
from .broadcast import Broadcaster, Level
from .metrics import make_registry
from .picture import Picture, PictureFeed, picture_size
from .replay import ReplaySink
from .server import Server, check_certificate
from .viewers import Desk, Json, Viewers

if TYPE_CHECKING:
    from rt_seg.realtime.settings import StreamSettings
    from rt_seg.realtime.summary import Summary

# what says nothing of this machine's files
_SUMMARY_KEYS = (
    "frames_in", "frames_out", "frames_with_polyps", "frames_with_mask", "dropped", "fps", "states", "sightings",
    "signal_losses", "engine_failures", "video_delay_ms", "annotation_delay_ms", "ended_by",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the view will be served; made before the engine is loaded, so that what cannot be is said at once.

    Attributes:
        address: As asked for, with the port that it became.
        socket: Listens already: who comes early waits.
        access: Who may come.
        certificate: Files of certificate and key, for TLS.
        made_token: A token that nobody gave.
    """

    address: Address
    socket: socket.socket
    access: Access
    certificate: tuple[Path, Path] | None
    made_token: str | None

    @classmethod
    def open(cls, settings: "StreamSettings") -> "Listener":
        """Open it as the settings say.

        Raises:
            InputError: The settings do not go together.
            OutputError: There is no listening there.
        """
        address = parse_address(settings.serve or "")
        certificate = check_certificate(settings.tls_cert, settings.tls_key)
        secure = certificate is not None
        token = choose_token(address, settings.token, secure=secure, insecure=settings.insecure)
        listener = open_listener(address)
        address = Address(address.host, int(listener.getsockname()[1]))
        access = Access.to(address, token, secure=secure)
        return cls(address, listener, access, certificate, None if token == settings.token else token)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    @property
    def link(self) -> str:
        """What to open in a browser; with the token, where nobody knows it yet."""
        host = self.address.host
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            host = socket.gethostname()
        scheme = "http" if self.certificate is None else "https"
        query = "" if self.made_token is None else f"?token={self.made_token}"
        return f"{scheme}://{Address(host, self.address.port).netloc}/{query}"


class View:
    """The live view of one stream: `start` it, and `close` it on every path.

    Args:
        listener: Where it is served; closed by the view.
        info: What is shown; without its name, where that is to be redacted.
        engine: What infers.
        controls: What clients may change.
        statistics: Where times are counted.
        keeps: Whether it records for itself what is shown.
        redact: Whether lines for people lose what may name a patient.
    """

    name = "view"
    path = None
    notes = ()

    def __init__(
        self,
        listener: Listener,
        info: SourceInfo,
        engine: EngineInfo,
        controls: Controls,
        statistics: Statistics,
        *,
        keeps: bool,
        redact: bool = False,
    ) -> None:
        self._info = info
        self._engine = engine
        self._controls = controls
        self._redact = redact
        self.link = listener.link
        self.feed = PictureFeed(statistics, info.pixel_aspect)
        self.book = SightingBook(info.pixel_aspect)
        self._board = Board(controls)
        desk = Desk(self.feed, self._board, controls, self._greet, self._wake)
        self._viewers = Viewers(desk)
        self._broadcaster = Broadcaster(self._viewers, self._board, self.book)
        registry = make_registry(self._board, self._viewers, engine)
        self._parts = Parts(self._viewers, self._board, self.book, registry)
        app = make_app(self._parts, listener.access)
        self._server = Server(app, listener.socket, self._broadcaster.run, listener.certificate)
        self.feed.on_picture = self._on_picture
        self._replay = ReplaySink(info, lambda text: self.notice(text, "warning")) if keeps else None

    # --- as a sink; see `Sink`

    def write(self, rendered: Rendered) -> None:
        """Take the newest picture; returns at once."""
        if self._board.take(rendered):
            self._wake()
        if not self._controls.paused:
            self.feed.put(rendered)

    def close(self) -> None:
        """See `Sink.close`: no more pictures come. The view itself is ended by `stop`."""

    @property
    def sinks(self) -> list[Sink]:
        """Where the pipeline hands pictures over: the view, and its recording."""
        return [self] if self._replay is None else [self, self._replay]

    # --- from start to end

    def start(self, pipeline: Pipeline) -> None:
        """Serve what this pipeline does."""
        self._board.pipeline = pipeline
        self.feed.start()
        self.book.start()
        self._server.start()

    def notice(self, text: str, level: Level | None = None) -> None:
        """Say a line to those who look."""
        if self._redact:
            text = without_names(text)
        self._broadcaster.notice(level or _level(text), text)

    def finish(self, summary: "Summary") -> None:
        """The stream is over: the page becomes a player, if there is a recording."""
        self.book.finish()
        recordings = self._recordings()
        self._parts.recordings = tuple(part.path for part in recordings)
        self._board.ended = True
        end = self._ended(summary, recordings)
        self._server.call(lambda: self._broadcaster.finish(end))

    def stop(self) -> None:
        """End everything, and delete the view's own recording; a second call does nothing."""
        self._server.call(self._viewers.close)
        self._server.close()
        self.feed.close()
        self.book.close()
        if self._replay is not None:
            self._replay.remove()

    def _recordings(self) -> list[Part]:
        if self._replay is not None:
            file = self._replay.file
            return [] if file is None else [Part(file, self._replay.span)]
        pipeline = self._board.pipeline
        outlets = () if pipeline is None else pipeline.outlets
        return [part for each in outlets if each.name == RECORDING for part in each.parts if part.span is not None]

    def _ended(self, summary: "Summary", recordings: list[Part]) -> Json:
        figures = summary.as_dict()
        return {
            "type": "ended",
            **{key: figures[key] for key in _SUMMARY_KEYS},
            "frames": {"in": summary.frames_in, "out": summary.frames_out},
            "error": None if summary.error is None else "the stream broke off" if self._redact else str(summary.error),
            "recordings": [self._played(number, part) for number, part in enumerate(recordings, 1)],
            "kept": self._replay is None,
            "duration": round(self._board.seconds, 3),
        }

    def _played(self, number: int, part: Part) -> Json:
        """A part of the recording as the player is told it, with the stream time at which it begins."""
        first, last = part.span or (0.0, 0.0)
        if number == 1 and not self._info.live and self._info.start_seconds == 0:
            first = 0.0  # see `VideoSink`: where the time of a recording begins
        return {"address": f"/recordings/{number}.mp4", "offset": round(first, 3), "duration": round(last - first, 3)}

    # --- on the event loop

    def _greet(self) -> list[Json]:
        """What a new client is told first."""
        info, engine = self._info, self._engine
        width, height = picture_size(info.width, info.height, info.pixel_aspect)
        hello: dict[str, object] = {
            "type": "hello",
            "version": version("rt-seg"),
            "source": info.name,
            "live": info.live,
            "frame": {"width": width, "height": height},
            "fps": info.fps,
            "duration": info.frame_count / info.fps if info.frame_count and info.fps and not info.endless else None,
            "engine": {"backend": engine.backend, "device": engine.device, "precision": engine.precision},
            "controls": self._controls.values(),
            "limits": LIMITS,
            "sightings": [entry.as_dict() for entry in self.book.entries()],
            "history": self._board.history(),
        }
        end = self._broadcaster.end
        return [hello, self._broadcaster.state(), *([] if end is None else [end])]

    def _on_picture(self, _picture: Picture) -> None:
        self._server.call(self._viewers.wake)

    def _wake(self) -> None:
        self._server.call(self._broadcaster.wake)


def without_names(line: str) -> str:
    """A line for people without what follows its colon, which names sources and files."""
    return line.partition(": ")[0]


def _level(text: str) -> Level:
    troubled = any(word in text for word in ("no signal", "unavailable", "stopped"))
    return "warning" if troubled else "info"
