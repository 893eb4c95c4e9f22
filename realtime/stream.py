"""One stream from settings to summary: its parts are joined, run and released here."""

import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2

from rt_seg.engines.engine import Engine, EngineInfo
from rt_seg.engines.load import load_engine

from .assembly import (
    Shared,
    make_admit,
    make_opener,
    make_prepare,
    make_refine,
    make_render,
    make_upkeep,
    paced,
    parallel_calls,
)
from .channel import Policy
from .crew import INFERENCE_NICENESS, EngineCare
from .field_of_view import check_roi, parse_roi
from .live import Live
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

__all__ = ["Observer", "StreamSettings", "run_stream"]

_TICK_SECONDS = 0.1
_SCREEN_TICK_SECONDS = 0.02
_SCRIBE_SECONDS = 0.3  # for what still waits to be written at the end
_SWITCH_SECONDS = 0.0005  # how long a thread may keep Python's lock while another one waits to show a picture
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
    with ending_signals() as received, _quick_switches(settings.plays_live), ExitStack() as opened:
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
    journal = outputs.journal(shared.scribe)
    refine = make_refine(shared, journal, source.info)
    report = Report(shared.status, journal, refine)
    pipeline = Pipeline(
        source,
        make_prepare(shared, engine, source.info),
        segment,
        make_render(shared, shown_only=screen is None and not sinks),
        [*([] if screen is None else [screen]), *sinks, *outputs.sinks(keys=screen is not None)],
        refine=refine,
        admit=make_admit(settings),
        statistics=shared.statistics,
        status=shared.status,
        parallel_calls=parallel_calls(engine, settings),
        policy=Policy.LATEST if source.info.live else Policy.EVERY,
        live=Live(display, make_upkeep(settings, source.info, reopen, stopped), EngineCare(segment.restart)),
        observation=report,
        measures=screen is None,
    )
    shared.scribe.on_error = pipeline.fail
    info, engine_info = source.info, engine.info
    return _Running(shared, pipeline, segment, screen, journal, report, observer, received, info, engine_info)


def _run(running: _Running) -> Summary:
    pipeline, screen, received = running.pipeline, running.screen, running.received
    for line in running.source.notes:
        running.observer.note(line)
    running.observer.begin(running.source, running.engine)
    watch = Stopwatch()
    try:
        with pipeline:
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
        if controls.snapshots > taken and screen is not None:
            taken = controls.snapshots
            _take_snapshot(running.shared, screen)
        if time.monotonic() - updated >= _TICK_SECONDS:
            _tell(running)
            running.observer.update(pipeline)
            updated = time.monotonic()
    running.observer.update(pipeline)
    return closed


def _take_snapshot(shared: Shared, screen: Screen) -> None:
    """Keep the picture that is on the screen, as asked for by its key."""
    rendered = screen.last
    if rendered is None:
        return
    name = f"snapshot_{datetime.now().astimezone():%Y%m%d-%H%M%S}_frame_{rendered.frame.index:06d}"
    snapshot = Snapshot(name, rendered.frame.image, rendered.image)
    shared.scribe.put("snapshots", partial(write_snapshot, shared.settings.snapshots or _SNAPSHOTS, snapshot))


def _tell(running: _Running) -> None:
    running.report.tell_drops(running.pipeline.dropped)
    for line in running.report.take_lines():
        running.observer.note(line)


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
    if settings.show is False or (settings.show is None and settings.writes):
        return None
    reason = Window.unavailable()
    if reason is None:
        window = Window("rt-seg", shared.controls.press, pixel_aspect=info.pixel_aspect)
        return Screen(window, shared.controls, shared.statistics)
    if settings.show:
        observer.note(f"no window: {reason}")
    return None


@contextmanager
def _quick_switches(wanted: bool) -> Generator[None]:
    """Have Python pass its lock on quickly: by default a thread that computes keeps it for 5 ms."""
    before = sys.getswitchinterval()
    if wanted:
        sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
