"""One stream from settings to summary: the parts are made, joined, run and released here."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import cv2

from rt_seg.engines.engine import EngineInfo
from rt_seg.engines.load import PrecisionChoice, load_engine

from .channel import Channel, ChannelClosed, Policy
from .field_of_view import check_roi, parse_roi
from .frame import Rendered
from .hud import Hud
from .overlay import Overlay
from .pipeline import Pipeline
from .preprocess import Preprocess
from .render import Render
from .segment import Segment
from .signals import ending_signals
from .sinks.files import check_distinct
from .sinks.masks import MasksSink
from .sinks.results import ResultsSink, results_header
from .sinks.sink import Sink
from .sinks.video import VideoSink
from .sinks.window import Window
from .sources.open import open_source
from .sources.source import SourceInfo
from .statistics import Statistics
from .summary import Stopwatch, Summary, summarise

_TICK_SECONDS = 0.1
_SCREEN_TICK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What `rt-seg stream` was asked for; `realtime/command.py` says what each means."""

    source: str
    engine: str = "auto"
    precision: PrecisionChoice = "auto"
    output: Path | None = None
    results: Path | None = None
    masks: Path | None = None
    show: bool | None = None
    overlay: Literal["contour", "fill", "heatmap", "none"] = "contour"
    alpha: float = 0.4
    hud: bool = True
    threshold: float | None = None
    roi: str = "auto"
    start: float = 0.0
    duration: float | None = None
    limit: int | None = None


class Observer(Protocol):
    """Somebody who wants to see a stream run; called on the caller's thread."""

    def note(self, line: str) -> None:
        """One line to read."""
        ...

    def begin(self, source: SourceInfo, engine: EngineInfo) -> None:
        """The stream is about to start."""
        ...

    def update(self, pipeline: Pipeline) -> None:
        """Called some ten times a second, and once at the end."""
        ...


class _Screen:
    """A sink that keeps the newest picture, and the window that shows it: only the main thread may call `refresh`."""

    name = "show"
    path = None
    notes = ()

    def __init__(self, window: Window) -> None:
        self._window = window
        self._pictures: Channel[Rendered] = Channel(1, Policy.LATEST)

    def write(self, rendered: Rendered) -> None:
        self._pictures.put(rendered)

    def close(self) -> None:
        self._pictures.close()

    def refresh(self) -> bool:
        """Show the newest picture, if there is one; False when the user ended it."""
        try:
            return self._window.show(self._pictures.get(timeout=0).image)
        except (TimeoutError, ChannelClosed):
            return self._window.poll()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._window.close()


def run_stream(settings: StreamSettings, observer: Observer) -> Summary:
    """Run one stream to its end, in the calling thread as far as window and signals go.

    Returns:
        The summary; its ``error`` holds what ended the stream early, if anything did after the first frame.

    Raises:
        SourceError: The source cannot be opened.
        ModelError: The model cannot be loaded.
        OutputError: An output cannot be written.
        RtSegError: A setting cannot be used.
    """
    # every stage has a thread of its own: OpenCV's pool would only fight it for the cores
    cv2.setNumThreads(1)
    roi = parse_roi(settings.roi)
    with ExitStack() as stack:
        source = open_source(settings.source, start=settings.start, duration=settings.duration, limit=settings.limit)
        stack.callback(source.close)
        # before the engine, which takes longest: what cannot be used or written is said at once
        check_roi(roi, source.info.width, source.info.height)
        sinks = _picture_sinks(settings, source.info)
        engine = stack.enter_context(load_engine(settings.engine, precision=settings.precision))
        if settings.results is not None:
            header = results_header(source.info, engine.spec, engine.info)
            sinks.append(ResultsSink(settings.results, header, source.info.path))
        screen = _open_screen(settings, source.info, observer)
        if screen is not None:
            stack.enter_context(screen)
            sinks.insert(0, screen)
        statistics = Statistics()
        pipeline = Pipeline(
            source,
            Preprocess(engine.spec, roi, steady=source.info.kind != "images"),
            Segment(engine, settings.threshold),
            Render(Overlay(settings.overlay, settings.alpha), Hud() if settings.hud else None, statistics),
            sinks,
            statistics=statistics,
            parallel_calls=engine.info.parallel_calls,
            policy=Policy.LATEST if source.info.live else Policy.EVERY,
        )
        observer.begin(source.info, engine.info)
        watch = Stopwatch()
        with ending_signals(pipeline.stop) as received, pipeline:
            closed = _watch(pipeline, screen, observer)
        ended_by = "signal" if received.number is not None else "window" if closed else "end"
        return summarise(
            pipeline, watch, source.info.name, engine.info, sinks, ended_by=ended_by, signal=received.number
        )


def _picture_sinks(settings: StreamSettings, info: SourceInfo) -> list[Sink]:
    check_distinct(settings.output, settings.results, settings.masks)
    sinks: list[Sink] = []
    if settings.output is not None:
        sinks.append(VideoSink(settings.output, info))
    if settings.masks is not None:
        sinks.append(MasksSink(settings.masks, info.path))
    return sinks


def _open_screen(settings: StreamSettings, info: SourceInfo, observer: Observer) -> _Screen | None:
    writes = any((settings.output, settings.results, settings.masks))
    if settings.show is False or (settings.show is None and writes):
        return None
    reason = Window.unavailable()
    if reason is None:
        return _Screen(Window("rt-seg", info.pixel_aspect))
    if settings.show:
        observer.note(f"no window: {reason}")
    return None


def _watch(pipeline: Pipeline, screen: _Screen | None, observer: Observer) -> bool:
    """Wait for the end, serving screen and observer meanwhile.

    Returns:
        Whether the user ended it at the screen.
    """
    updated = time.monotonic()
    closed = False
    while not pipeline.wait(_TICK_SECONDS if screen is None else _SCREEN_TICK_SECONDS):
        if screen is not None and not closed and not screen.refresh():
            closed = True
            pipeline.stop()
        if time.monotonic() - updated >= _TICK_SECONDS:
            observer.update(pipeline)
            updated = time.monotonic()
    observer.update(pipeline)
    return closed
