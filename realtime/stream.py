"""One stream from settings to summary: its parts are run and released here; `opening.py` joins them."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from rt_seg.engines.engine import Engine
from rt_seg.errors import SourceInterrupted

from .assembly import make_opener
from .interpreter import quick_switches, short_collections
from .opening import Observer, Running, open_stream
from .outputs import without_identity
from .scribe import Scribe
from .settings import StreamSettings
from .signals import ending_signals
from .sinks.sink import Sink
from .snapshots import Snapshot, write_snapshot
from .sources.source import Source
from .summary import Stopwatch, Summary, summarise

if TYPE_CHECKING:
    from .view.view import View

__all__ = ["Observer", "StreamSettings", "run_stream"]

_TICK_SECONDS = 0.1
_SCREEN_TICK_SECONDS = 0.02
_SCRIBE_TICK_SECONDS = 0.05
_ENDING_SECONDS = 1.5  # from the user's wish to end: what still waits to be written then is lost
_SCRIBE_SECONDS = 0.2  # for it at least, also where the pipeline took all of that time
_SNAPSHOTS = Path("rt-seg-snapshots")  # where the key puts them, unless --snapshots says where


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
        running = open_stream(settings, observer, received, opened, load, open_again or make_opener(settings), sinks)
        opened.pop_all()  # from here on the pipeline closes the source, and the rest is released by `_run`
        return _run(running)


def _run(running: Running) -> Summary:
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


def _linger(running: Running, view: "View", summary: Summary) -> None:
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


def _run_pipeline(running: Running) -> Summary:
    pipeline, screen, received = running.pipeline, running.screen, running.received
    for line in running.source.notes:
        running.observer.note(line)
    running.observer.begin(running.source, running.engine)
    watch, closed = Stopwatch(), False
    try:
        with short_collections(running.source.live), pipeline:
            for scribe in (running.journal, running.shared.snapshots):
                scribe.start(pipeline.fail, running.shared.status.resume)
            received.stop = pipeline.stop
            if received.number is not None:
                pipeline.stop()
            closed = _watch(running)
    finally:
        if screen is not None:
            screen.__exit__()
        _finish(running, closed=closed)
    try:
        return summarise(
            pipeline,
            watch,
            (without_identity(running.source) if running.shared.settings.redact else running.source).name,
            running.engine,
            ended_by="signal" if received.number is not None else "window" if closed else "end",
            signal=received.number,
            more_outputs=_written_beside(running),
            hide=running.hide,
        )
    finally:
        # after the last stamp: all files are closed, and releasing the engine takes as long as a frame or two
        if not pipeline.left_behind:
            running.segment.close()  # it may hang as a call into it does


def _watch(running: Running) -> bool:
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


def _take_snapshot(running: Running) -> None:
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

    shared.snapshots.put(keep)


def _tell(running: Running) -> None:
    running.report.tell_drops(running.pipeline.dropped)
    for line in running.report.take_lines():
        running.observer.note(line)
        if running.view is not None:
            running.view.notice(running.hide(line))


def _finish(running: Running, *, closed: bool) -> None:
    """Write all that still waits to be written beside the sinks, or what can be in time where the user ended it."""
    _close(running, running.shared.snapshots, closed=closed)
    running.report.tell_drops(running.pipeline.dropped, last=True)
    _close(running, running.journal, closed=closed)
    _tell(running)


def _close(running: Running, scribe: Scribe, *, closed: bool) -> None:
    until = math.inf
    while not scribe.close(_SCRIBE_TICK_SECONDS):
        now = time.monotonic()
        if until == math.inf and (closed or running.received.number is not None):  # it may come while this waits
            until = max(running.pipeline.stopped_at + _ENDING_SECONDS, now + _SCRIBE_SECONDS)
        if now >= until:
            running.observer.note(f"{scribe.name}: the last {scribe.abandon()} could not be written in time")
            return


def _written_beside(running: Running) -> dict[str, Path]:
    """Event logs and snapshots that are there."""
    paths = [path for log in running.journal.logs for path in log.paths if path.exists()]
    written = {"events" if number == 1 else f"events {number}": path for number, path in enumerate(paths, 1)}
    folder = running.shared.settings.snapshots
    return written | ({"snapshots": folder} if folder is not None and folder.is_dir() else {})
