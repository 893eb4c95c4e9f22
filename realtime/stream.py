"""One stream from settings to summary: the parts are made, joined, run and released here."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2

from rt_seg.engines.engine import Engine, EngineInfo
from rt_seg.engines.load import PrecisionChoice, load_engine

from .channel import Channel, ChannelClosed, Policy
from .field_of_view import parse_roi
from .frame import Rendered
from .hud import Hud
from .overlay import Overlay
from .pipeline import Pipeline
from .preprocess import Preprocess
from .render import Render
from .segment import Segment
from .signals import ReceivedSignal, ending_signals
from .sinks.masks import MasksSink
from .sinks.results import ResultsSink, results_header
from .sinks.sink import Sink
from .sinks.video import VideoSink
from .sinks.window import Window
from .sources.open import open_source
from .sources.source import Source, SourceInfo
from .statistics import Statistics
from .summary import Stopwatch, Summary, summarise

_TICK_SECONDS = 0.1
_WINDOW_TICK_SECONDS = 0.005


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


class _Preview:
    """A sink that keeps the newest picture for the window, which only the main thread may serve."""

    name = "show"
    path = None

    def __init__(self) -> None:
        self.pictures: Channel[Rendered] = Channel(1, Policy.LATEST)

    def write(self, rendered: Rendered) -> None:
        self.pictures.put(rendered)

    def close(self) -> None:
        self.pictures.close()


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
    with ExitStack() as stack:
        roi = parse_roi(settings.roi)
        source = open_source(settings.source, start=settings.start, duration=settings.duration, limit=settings.limit)
        stack.callback(source.close)
        engine = stack.enter_context(load_engine(settings.engine, precision=settings.precision))
        window = _open_window(settings, observer)
        preview = None
        sinks = _make_sinks(settings, source.info, engine)
        if window is not None:
            stack.callback(window.close)
            preview = _Preview()
            sinks.insert(0, preview)
        statistics = Statistics()
        pipeline = Pipeline(
            source,
            Preprocess(engine.spec, roi),
            Segment(engine, settings.threshold),
            Render(Overlay(settings.overlay, settings.alpha), Hud() if settings.hud else None, statistics),
            sinks,
            statistics=statistics,
            parallel_calls=engine.info.parallel_calls,
            policy=Policy.LATEST if source.info.live else Policy.EVERY,
        )
        observer.begin(source.info, engine.info)
        return _run(pipeline, source, engine, sinks, window, preview, observer)


def _make_sinks(settings: StreamSettings, info: SourceInfo, engine: Engine) -> list[Sink]:
    sinks: list[Sink] = []
    if settings.output is not None:
        sinks.append(VideoSink(settings.output, info))
    if settings.results is not None:
        sinks.append(ResultsSink(settings.results, results_header(info, engine.spec, engine.info)))
    if settings.masks is not None:
        sinks.append(MasksSink(settings.masks, info.path))
    return sinks


def _open_window(settings: StreamSettings, observer: Observer) -> Window | None:
    writes = any((settings.output, settings.results, settings.masks))
    if settings.show is False or (settings.show is None and writes):
        return None
    reason = Window.unavailable()
    if reason is None:
        return Window("rt-seg")
    if settings.show:
        observer.note(f"no window: {reason}")
    return None


def _run(
    pipeline: Pipeline,
    source: Source,
    engine: Engine,
    sinks: list[Sink],
    window: Window | None,
    preview: _Preview | None,
    observer: Observer,
) -> Summary:
    watch = Stopwatch()
    closed = False

    def tick() -> None:
        nonlocal closed
        if window is not None and preview is not None and not closed and not _show_newest(window, preview):
            closed = True
            pipeline.stop()

    with ending_signals(pipeline.stop) as received, pipeline:
        _watch(pipeline, tick, observer, _TICK_SECONDS if window is None else _WINDOW_TICK_SECONDS)
    return summarise(
        pipeline,
        watch,
        source=source.info.name,
        engine=engine.info,
        outputs={sink.name: sink.path for sink in sinks if sink.path is not None and sink.path.exists()},
        ended_by=_ended_by(received, closed),
        signal=received.number,
    )


def _watch(pipeline: Pipeline, tick: Callable[[], None], observer: Observer, seconds: float) -> None:
    """Wait for the end; serve window and observer meanwhile."""
    since_update = 0.0
    while not pipeline.wait(seconds):
        tick()
        since_update += seconds
        if since_update >= _TICK_SECONDS:
            observer.update(pipeline)
            since_update = 0.0
    observer.update(pipeline)


def _show_newest(window: Window, preview: _Preview) -> bool:
    """Show the newest picture, if there is one; False when the user ended it."""
    try:
        return window.show(preview.pictures.get(timeout=0).image)
    except (TimeoutError, ChannelClosed):
        return window.poll()


def _ended_by(received: ReceivedSignal, closed: bool) -> str:
    if received.number is not None:
        return "signal"
    return "window" if closed else "end"
