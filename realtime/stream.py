"""One stream from settings to summary: its parts are joined, run and released here."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2

from rt_seg.engines.engine import Engine, EngineInfo
from rt_seg.engines.load import load_engine
from rt_seg.errors import SourceInterrupted

from .assembly import (
    Shared,
    make_opener,
    make_pipeline,
    make_refine,
    make_render,
    make_upkeep,
    paced,
)
from .crew import INFERENCE_NICENESS
from .field_of_view import check_roi, parse_roi
from .interpreter import quick_switches, short_collections
from .outputs import Outputs, without_identity
from .pipeline import Pipeline
from .report import Report
from .screen import Screen
from .scribe import Journal
from .segment import Segment
from .settings import StreamSettings
from .signals import ReceivedSignal, ending_signals
from .sinks.sink import Sink
from .sinks.window import Window
from .snapshots import Snapshot, write_snapshot
from .sources.source import Source, SourceInfo
from .summary import Stopwatch, Summary, summarise

if TYPE_CHECKING:
    from .view.view import Listener, View

__all__ = ["Observer", "StreamSettings", "run_stream"]

_TICK_SECONDS = 0.1
_SCREEN_TICK_SECONDS = 0.02
_SCRIBE_SECONDS = 0.3  # for what still waits to be written at the end
_SNAPSHOTS = Path("rt-seg-snapshots")  # where the key puts them, unless --snapshots says where


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
class _Running:
    """The parts of a stream that runs."""

    shared: Shared
    pipeline: Pipeline
    segment: Segment
    screen: Screen | None
    view: "View | None"
    journal: Journal
    report: Report
    observer: Observer
    received: ReceivedSignal
    source: SourceInfo
    engine: EngineInfo


def run_stream(
    settings: StreamSettings,
    observer: Observer,
    *,
    load: Callable[[], Engine] | None = None,
    open_again: Callable[[], Source] | None = None,
    sinks: Sequence[Sink] = (),
) -> Summary:
    """Run one stream to its end, in the calling thread as far as window and signals go.

    Args:
        settings: What is asked for.
        observer: Who is told.
        load: Loads the engine, also after it failed; by default the one that the settings name.
        open_again: Opens the source, also after it was lost; by default the one that the settings name.
        sinks: Further ones; delays are measured to the hand-over to the first, where there is no window.

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
    settings.check()
    for line in settings.unused:
        observer.note(line)
    with ending_signals() as received, quick_switches(settings.plays_live), ExitStack() as opened:
        running = _join(settings, observer, received, opened, load, open_again or make_opener(settings), sinks)
        opened.pop_all()  # from here on the pipeline closes the source, and the rest is released by `_run`
        return _run(running)


def _join(
    settings: StreamSettings,
    observer: Observer,
    received: ReceivedSignal,
    opened: ExitStack,
    load: Callable[[], Engine] | None,
    reopen: Callable[[], Source],
    sinks: Sequence[Sink],
) -> _Running:
    """Open everything; what is open is closed by the stack if something cannot be."""
    stopped = threading.Event()
    listener = _listen(settings)
    if listener is not None:
        opened.callback(listener.close)
    source = received.call(lambda: paced(reopen(), settings, stopped))
    opened.callback(source.close)
    shared = Shared.of(settings)
    opened.callback(shared.scribe.close, 0.0)
    # before the engine, which takes longest: what cannot be used or written is said at once
    check_roi(parse_roi(settings.roi), source.info.width, source.info.height)
    outputs = Outputs(settings, source.info, shared.controls)
    load = load or partial(load_engine, settings.engine, precision=settings.precision)
    display = settings.chosen_display()
    engine = received.call(load, INFERENCE_NICENESS if display == "passthrough" else 0)
    opened.callback(engine.close)
    outputs.describe(engine)
    segment = Segment(engine, settings.threshold, load)
    shared.controls.threshold = engine.spec.threshold if settings.threshold is None else settings.threshold
    screen = _open_screen(shared, source.info, observer)
    if screen is not None:
        opened.enter_context(screen)
    view = None if listener is None else _make_view(listener, shared, source.info, engine.info)
    if view is not None:
        opened.callback(view.stop)
    journal = outputs.journal(shared.scribe)
    refine = make_refine(shared, journal, source.info, also=None if view is None else view.book)
    report = Report(shared.status, journal, refine)
    pipeline = make_pipeline(
        shared,
        source,
        engine,
        segment,
        make_render(shared, shown_only=screen is None and view is None and not sinks),
        [
            *([] if screen is None else [screen]),
            *sinks,
            *([] if view is None else view.sinks),
            *outputs.sinks(keys=screen is not None or view is not None),
        ],
        refine,
        report,
        make_upkeep(settings, source.info, reopen, stopped),
        measures=screen is None,
    )
    shared.scribe.on_error = pipeline.fail
    info, engine_info = source.info, engine.info
    return _Running(shared, pipeline, segment, screen, view, journal, report, observer, received, info, engine_info)


def _run(running: _Running) -> Summary:
    view = running.view
    if view is None:
        return _run_pipeline(running)
    try:
        view.start(running.pipeline)
        running.observer.note(f"view    {view.link}")
        summary = _run_pipeline(running)
        view.finish(summary)
        _linger(running, view, summary)
    finally:
        view.stop()
    return summary


def _linger(running: _Running, view: "View", summary: Summary) -> None:
    """Let a file that has ended be looked at until a signal comes; what ends otherwise ends at once."""
    looked_at = summary.ended_by in {"end", "error"} and not running.source.endless
    readable = summary.error is None or isinstance(summary.error, SourceInterrupted)
    # signals come to the main thread only: a caller on another one could not be released
    released = threading.current_thread() is threading.main_thread()
    if not (looked_at and readable and released):
        return
    running.observer.note(f"the stream has ended; it can be looked at again at {view.link} until Ctrl-C")
    while running.received.number is None:
        time.sleep(_TICK_SECONDS)


def _run_pipeline(running: _Running) -> Summary:
    pipeline, screen, received = running.pipeline, running.screen, running.received
    for line in running.source.notes:
        running.observer.note(line)
    running.observer.begin(running.source, running.engine)
    watch = Stopwatch()
    try:
        with short_collections(running.source.live), pipeline:
            received.stop = pipeline.stop
            if received.number is not None:
                pipeline.stop()
            closed = _watch(running)
    finally:
        if screen is not None:
            screen.__exit__()
        _finish(running)
    if not pipeline.left_behind:
        running.segment.close()  # it may hang as a call into it does
    return summarise(
        pipeline,
        watch,
        (without_identity(running.source) if running.shared.settings.redact else running.source).name,
        running.engine,
        ended_by="signal" if received.number is not None else "window" if closed else "end",
        signal=received.number,
        window_dropped=0 if screen is None or not running.source.live else screen.dropped,
        more_outputs=_written_beside(running),
    )


def _watch(running: _Running) -> bool:
    """Wait for the end, serving screen and observer meanwhile.

    Returns:
        Whether the user ended it at the screen.
    """
    pipeline, screen, controls = running.pipeline, running.screen, running.shared.controls
    updated, closed, taken = time.monotonic(), False, 0
    while not pipeline.wait(_TICK_SECONDS if screen is None or closed else 0.0):
        if screen is not None and not closed and not screen.refresh(_SCREEN_TICK_SECONDS):
            closed = True
            pipeline.stop()
        running.segment.threshold, pipeline.paused = controls.level, controls.paused
        if controls.snapshots > taken:
            taken = controls.snapshots
            _take_snapshot(running)
        if time.monotonic() - updated >= _TICK_SECONDS:
            _tell(running)
            running.observer.update(pipeline)
            updated = time.monotonic()
    running.observer.update(pipeline)
    return closed


def _take_snapshot(running: _Running) -> None:
    """Keep the picture that is looked at, as asked for by a key or in the view."""
    shared, screen, view = running.shared, running.screen, running.view
    rendered = screen.last if screen is not None else view.feed.last if view is not None else None
    if rendered is None:
        return
    name = f"snapshot_{datetime.now().astimezone():%Y%m%d-%H%M%S}_frame_{rendered.frame.index:06d}"
    snapshot = Snapshot(name, rendered.frame.image, rendered.image)
    folder = shared.settings.snapshots or _SNAPSHOTS

    def keep() -> None:
        path, _ = write_snapshot(folder, snapshot)
        if view is not None:
            view.notice(f"snapshot kept as {path.name}")

    shared.scribe.put("snapshots", keep)


def _tell(running: _Running) -> None:
    running.report.tell_drops(running.pipeline.dropped)
    for line in running.report.take_lines():
        running.observer.note(line)
        if running.view is not None:
            running.view.notice(line)


def _finish(running: _Running) -> None:
    """Write what still waits to be written beside the sinks: a file's all, a live stream's within a moment."""
    running.report.tell_drops(running.pipeline.dropped)
    running.journal.close()
    live = running.source.live or running.received.number is not None
    if not running.shared.scribe.close(_SCRIBE_SECONDS if live else None):
        running.observer.note("events or snapshots could not be written in time; the last ones are missing")
    _tell(running)


def _written_beside(running: _Running) -> dict[str, Path]:
    """Event logs and snapshots that are there."""
    paths = [path for log in running.journal.logs for path in log.paths if path.exists()]
    written = {"events" if number == 1 else f"events {number}": path for number, path in enumerate(paths, 1)}
    folder = running.shared.settings.snapshots
    return written | ({"snapshots": folder} if folder is not None and folder.is_dir() else {})


def _open_screen(shared: Shared, info: SourceInfo, observer: Observer) -> Screen | None:
    settings = shared.settings
    if settings.show is False or (settings.show is None and (settings.writes or settings.serve is not None)):
        return None
    reason = Window.unavailable()
    if reason is None:
        window = Window("rt-seg", shared.controls.press, pixel_aspect=info.pixel_aspect)
        return Screen(window, shared.controls, shared.statistics)
    if settings.show:
        observer.note(f"no window: {reason}")
    return None


def _listen(settings: StreamSettings) -> "Listener | None":
    """The address of the view, if one is asked for."""
    if settings.serve is None:
        return None
    from .view.view import Listener

    return Listener.open(settings)


def _make_view(listener: "Listener", shared: Shared, info: SourceInfo, engine: EngineInfo) -> "View":
    from .view.view import View

    settings = shared.settings
    shown = without_identity(info) if settings.redact else info
    keeps = settings.output is None and not info.endless
    return View(listener, shown, engine, shared.controls, shared.statistics, keeps=keeps, redact=settings.redact)
