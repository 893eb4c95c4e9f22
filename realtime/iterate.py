"""`stream`: a video, live or recorded, as typed results in a Python loop; no files, no window."""

import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from rt_seg.engines.engine import Engine, EngineInfo
from rt_seg.engines.load import PrecisionChoice

from .live import Display
from .loop import Run
from .result import FrameResult, handed_over
from .settings import StreamSettings
from .sources.source import SourceInfo
from .stabilise import Mode


def stream(
    source: str | os.PathLike[str] | int,
    *,
    engine: str | os.PathLike[str] | Engine = "auto",
    precision: PrecisionChoice = "auto",
    threshold: float | None = None,
    stabilise: Mode | None = None,
    min_frames: str | None = None,
    min_confidence: float | None = None,
    roi: str = "auto",
    redact: bool = False,
    start: float = 0.0,
    duration: float | None = None,
    limit: int | None = None,
    live: bool = False,
    display: Display = "aligned",
    max_staleness: float = 120.0,
    signal_timeout: float = 2.0,
    reconnect: int | None = None,
    camera_size: str | None = None,
    camera_fps: float | None = None,
    camera_format: Literal["MJPG", "YUYV", "NV12"] | None = None,
) -> "Stream":
    """Segment polyps in a video, live or recorded, and hand out each frame with what was found.

    Decoding, inference and your loop run at the same time, on threads of their own. The frames of a file come one and
    all, in order: where your loop is slow, the reader waits. Of a live source (a camera, an address, or with `live`)
    you get the newest frame there is: where your loop is slow, frames are dropped and counted, and no delay builds up.

        for result in rt_seg.stream("video.mp4"):
            print(result.pts_seconds, [polyp.box for polyp in result.polyps])

    The settings are those of ``rt-seg stream``, with the same defaults but for `display`.

    Args:
        source: A video file, a folder or glob of images, a camera (``0``, ``"/dev/video0"``), an address (rtsp, http,
            udp, ...) or ``"demo"``. A path object is always a file or folder.
        engine: A model to load, as `rt_seg.load_engine` takes it, or an engine that is loaded: it stays yours to close,
            and serves one stream after another.
        precision: Arithmetic on the CPU, see `rt_seg.load_engine`; not for an engine that is loaded.
        threshold: Probability (0-1) from which a pixel counts as polyp; None: the model's own.
        stabilise: How much masks are held still: ``off``, ``light`` or ``strong``; None: light, for images off.
        min_frames: ``K/N``: a polyp counts once K of the last N frames showed it; None: 2/3, for images 1/1.
        min_confidence: Confidence (0-1) from which a frame counts for that; None: 0.6, for images 0.
        roi: Part of the picture that is segmented: ``auto`` (the field of view), ``full`` or ``X,Y,W,H`` in pixels.
        redact: Whether all outside the field of view, and text in it, is blacked out before anything else sees it.
        start: Stream time in seconds at which a file begins.
        duration: Seconds of it; None: to the end.
        limit: Frames of it; None: all.
        live: Play a file at its own pace, as if it were a camera.
        display: Of a live source: ``aligned``: each frame comes with its own mask. ``passthrough``: each frame comes at
            once, with the newest mask moved to where the tissue is.
        max_staleness: With ``passthrough``, milliseconds after which a mask is withheld.
        signal_timeout: Seconds without a picture after which a live source counts as lost.
        reconnect: Attempts to open a lost source again; None: without end.
        camera_size: ``WxH`` to ask a camera for.
        camera_fps: Frames a second to ask it for.
        camera_format: Format on the wire to ask it for.

    Returns:
        An open stream: an iterator of `FrameResult`, and a context manager. Leaving the loop for good (its end, an
        error, ``break`` with nothing else holding the stream) or the ``with`` block stops the threads and releases
        file, camera and engine.

    Raises:
        SourceError: The source cannot be opened.
        ModelError: The model cannot be loaded.
        InputError: A setting cannot be used.
        RtSegError: Something else of the tree in `rt_seg.errors`. What goes wrong later is raised by the loop, after
            the results that came before it: `SourceInterrupted` where a file breaks off or a live source stays away,
            `EngineError` where the engine fails on a file (a live stream goes on without masks and starts it again).
    """
    settings = StreamSettings(
        source=str(Path(source).absolute()) if isinstance(source, os.PathLike) else str(source),
        engine=os.fspath(engine) if isinstance(engine, str | os.PathLike) else "given",
        precision=precision,
        threshold=threshold,
        stabilise=stabilise,
        min_frames=min_frames,
        min_confidence=min_confidence,
        roi=roi,
        redact=redact,
        start=start,
        duration=duration,
        limit=limit,
        show=False,
        live=live,
        display=display,
        max_staleness_ms=max_staleness,
        signal_timeout=signal_timeout,
        reconnect=reconnect,
        camera_size=camera_size,
        camera_fps=camera_fps,
        camera_format=camera_format,
    )
    settings.check()
    return Stream(settings, None if isinstance(engine, str | os.PathLike) else engine)


class Stream(Iterator[FrameResult]):
    """A stream that runs while it is iterated over; made by `stream`. One thread iterates; `close` is thread-safe.

    It can be iterated over once. Its threads start with the first frame that is asked for.
    """

    def __init__(self, settings: StreamSettings, engine: Engine | None = None) -> None:
        self._run = Run(settings, engine)
        # also when the stream is forgotten, and at the end of the process; nothing in a run leads back to the stream
        self._release = weakref.finalize(self, Run.release, self._run)

    @property
    def source(self) -> SourceInfo:
        """What is known of the source: size, frame rate, number of frames."""
        return self._run.source

    @property
    def engine(self) -> EngineInfo:
        """What infers, on what."""
        return self._run.engine

    @property
    def dropped(self) -> dict[str, int]:
        """Frames of a live source that were lost so far, by cause; ``loop``: this loop was slow."""
        return self._run.dropped

    @property
    def error(self) -> BaseException | None:
        """What went wrong first, if anything did: also where a live stream goes on."""
        return self._run.pipeline.error

    def __next__(self) -> FrameResult:
        """The next frame; see `stream` for what it raises."""
        if not self._release.alive:
            raise StopIteration
        rendered = self._run.take()
        if rendered is not None:
            return handed_over(rendered)
        closed = not self._release.alive
        self.close()
        error = self._run.fatal
        if error is not None and not closed:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop and release everything; a second call does nothing. A loop in another thread ends."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
