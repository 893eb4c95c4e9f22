"""One stream from settings to summary: the parts are made, joined, run and released here."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import cv2

from rt_seg.engines.engine import Engine, EngineInfo
from rt_seg.engines.load import load_engine

from .capture import Upkeep
from .channel import Policy
from .controls import Controls
from .crew import INFERENCE_NICENESS, EngineCare
from .field_of_view import parse_roi
from .follow import Follow
from .hud import Hud
from .motion import GlobalMotion
from .outputs import Outputs
from .overlay import Overlay
from .pipeline import Live, Pipeline
from .preprocess import Preprocess
from .refine import Refine
from .render import Render
from .report import Report
from .screen import Screen
from .segment import Segment
from .settings import StreamSettings, parse_min_frames
from .sightings import SightingTracker
from .signals import ReceivedSignal, ending_signals
from .sinks.window import Window
from .sources.open import open_source
from .sources.paced import PacedSource
from .sources.selection import Selection
from .sources.source import Source, SourceInfo
from .stabilise import Stabiliser
from .state import Status
from .statistics import Statistics
from .summary import Stopwatch, Summary, summarise

__all__ = ["Observer", "StreamSettings", "run_stream"]

_TICK_SECONDS = 0.1
_SCREEN_TICK_SECONDS = 0.02
_LEAST_NETWORK_SECONDS = 3.0  # silence that ends a connection: less than that is a hiccup, even where it is shown
_SWITCH_SECONDS = 0.0005  # how long a thread may keep Python's lock while another one waits to show a picture


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


@dataclass(frozen=True, slots=True)
class _Common:
    """What all parts share."""

    settings: StreamSettings
    controls: Controls
    statistics: Statistics
    status: Status
    report: Report


def run_stream(settings: StreamSettings, observer: Observer) -> Summary:
    """Run one stream to its end, in the calling thread as far as window and signals go.

    Returns:
        The summary; its ``error`` holds what went wrong after the first frame, if anything did.

    Raises:
        SourceError: The source cannot be opened.
        ModelError: The model cannot be loaded.
        OutputError: An output cannot be written.
        RtSegError: A setting cannot be used.
        Interrupted: A signal came before the stream ran.
    """
    # every stage has a thread of its own: OpenCV's pool would only fight it for the cores
    cv2.setNumThreads(1)
    display = settings.chosen_display()
    stopped = threading.Event()
    with ending_signals() as received, _quick_switches(settings.plays_live), ExitStack() as opened:
        common = _common(settings)
        refine = _refine(common)
        reopen = _opener(settings)
        source = received.call(lambda: _paced(reopen(), settings, stopped))
        opened.callback(source.close)
        # before the engine, which takes longest: what cannot be written is said at once
        outputs = Outputs(settings, source.info, common.controls)
        load = partial(load_engine, settings.engine, precision=settings.precision)
        engine = received.call(load, INFERENCE_NICENESS if display == "passthrough" else 0)
        opened.callback(engine.close)
        outputs.describe(engine)
        segment = Segment(engine, settings.threshold, load)
        common.controls.threshold = engine.spec.threshold if settings.threshold is None else settings.threshold
        screen = _open_screen(common, observer)
        if screen is not None:
            opened.enter_context(screen)
        live = Live(display, _upkeep(settings, source.info, reopen, stopped), EngineCare(segment.restart))
        pipeline = Pipeline(
            source,
            Preprocess(engine.spec, parse_roi(settings.roi), steady=source.info.kind != "images"),
            segment,
            _render(common, display == "passthrough"),
            ([] if screen is None else [screen]) + outputs.sinks(keys=screen is not None),
            refine=refine,
            statistics=common.statistics,
            status=common.status,
            parallel_calls=_parallel_calls(engine, display),
            policy=Policy.LATEST if source.info.live else Policy.EVERY,
            live=live,
            observation=common.report,
            measures=screen is None,
        )
        for line in source.info.notes:
            observer.note(line)
        observer.begin(source.info, engine.info)
        opened.pop_all()  # from here on the pipeline closes the source, and the rest is released below
        return _run(pipeline, common, segment, screen, observer, received, source.info, engine.info)


def _run(
    pipeline: Pipeline,
    common: _Common,
    segment: Segment,
    screen: Screen | None,
    observer: Observer,
    received: ReceivedSignal,
    info: SourceInfo,
    engine: EngineInfo,
) -> Summary:
    watch = Stopwatch()
    try:
        with pipeline:
            received.stop = pipeline.stop
            if received.number is not None:
                pipeline.stop()
            closed = _watch(pipeline, common, segment, screen, observer)
    finally:
        if screen is not None:
            screen.__exit__()
    if not pipeline.left_behind:
        segment.close()  # it may hang as a call into it does
    ended_by = "signal" if received.number is not None else "window" if closed else "end"
    lost = 0 if screen is None or not info.live else screen.dropped
    return summarise(pipeline, watch, info.name, engine, ended_by=ended_by, signal=received.number, window_dropped=lost)


def _common(settings: StreamSettings) -> _Common:
    controls = Controls(style=settings.overlay, hud=settings.hud, recording=settings.output is not None)
    return _Common(settings, controls, Statistics(), Status(), Report())


def _opener(settings: StreamSettings) -> "partial[Source]":
    """Opens the source as it was asked for; the selection of a live one counts over all its connections."""
    if not settings.plays_live or settings.live:
        return partial(
            open_source, settings.source, start=settings.start, duration=settings.duration, limit=settings.limit
        )
    timeout = max(settings.signal_timeout, _LEAST_NETWORK_SECONDS)
    return partial(open_source, settings.source, start=settings.start, camera=settings.camera_mode(), timeout=timeout)


def _paced(source: Source, settings: StreamSettings, stopped: threading.Event) -> Source:
    return PacedSource(source, stopped.wait) if settings.live and not source.info.live else source


def _upkeep(settings: StreamSettings, info: SourceInfo, reopen: "partial[Source]", stopped: threading.Event) -> Upkeep:
    selection = Selection(0.0, settings.duration, settings.limit)
    if not info.endless:
        return Upkeep(None, settings.signal_timeout, selection=selection, stopped=stopped)
    return Upkeep(reopen, settings.signal_timeout, settings.reconnect, selection, stopped=stopped)


def _refine(common: _Common) -> Refine:
    tracker = SightingTracker(parse_min_frames(common.settings.min_frames))
    return Refine(Stabiliser(common.settings.stabilise), tracker)


def _render(common: _Common, passthrough: bool) -> Render:
    settings = common.settings
    follow = Follow(settings.max_staleness_ms / 1000, GlobalMotion()) if passthrough else None
    overlay = Overlay(settings.overlay, settings.alpha)
    return Render(overlay, Hud(), common.controls, common.statistics, common.status, follow=follow)


def _parallel_calls(engine: Engine, display: str) -> int:
    """With passthrough one core fewer is given to inference: it is needed for the picture."""
    calls = engine.info.parallel_calls
    return max(calls - 1, 1) if display == "passthrough" else calls


def _open_screen(common: _Common, observer: Observer) -> Screen | None:
    settings = common.settings
    if settings.show is False or (settings.show is None and settings.writes):
        return None
    reason = Window.unavailable()
    if reason is None:
        return Screen(Window("rt-seg", common.controls.press), common.controls, common.statistics)
    if settings.show:
        observer.note(f"no window: {reason}")
    return None


def _watch(pipeline: Pipeline, common: _Common, segment: Segment, screen: Screen | None, observer: Observer) -> bool:
    """Wait for the end, serving screen and observer meanwhile.

    Returns:
        Whether the user ended it at the screen.
    """
    updated = time.monotonic()
    closed = False
    while not pipeline.wait(_TICK_SECONDS if screen is None or closed else 0.0):
        if screen is not None and not closed and not screen.refresh(_SCREEN_TICK_SECONDS):
            closed = True
            pipeline.stop()
        segment.threshold, pipeline.paused = common.controls.level, common.controls.paused
        if time.monotonic() - updated >= _TICK_SECONDS:
            _tell(common, observer)
            observer.update(pipeline)
            updated = time.monotonic()
    _tell(common, observer)
    observer.update(pipeline)
    return closed


def _tell(common: _Common, observer: Observer) -> None:
    for line in common.report.take_lines():
        observer.note(line)


@contextmanager
def _quick_switches(wanted: bool) -> Iterator[None]:
    """Have Python pass its lock on quickly: by default a thread that computes keeps it for 5 ms."""
    before = sys.getswitchinterval()
    if wanted:
        sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
