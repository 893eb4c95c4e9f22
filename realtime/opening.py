"""A stream's parts, opened and joined: what runs it is `stream.py`."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rt_seg.engines.engine import Engine, EngineInfo
from rt_seg.engines.field_of_view import check_roi, parse_roi
from rt_seg.engines.load import load_engine

from .assembly import (
    Shared,
    make_pipeline,
    make_refine,
    make_render,
    make_upkeep,
    paced,
    policy_of,
)
from .crew import INFERENCE_NICENESS
from .outputs import Outputs, without_identity, without_source
from .pipeline import Pipeline
from .report import Report
from .screen import Screen
from .scribe import Journal, Scribe
from .segment import Segment
from .settings import StreamSettings
from .signals import ReceivedSignal
from .sinks.sink import Sink
from .sinks.window import Window
from .sources.source import Source, SourceInfo

if TYPE_CHECKING:
    from .view.view import Listener, View


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
class Running:
    """The parts of a stream that runs; `hide` is what a text must pass before it is written or served."""

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
    hide: Callable[[str], str]


def open_stream(
    settings: StreamSettings,
    observer: Observer,
    received: ReceivedSignal,
    opened: ExitStack,
    load: Callable[[], Engine] | None,
    reopen: Callable[[], Source],
    sinks: Sequence[Sink],
) -> Running:
    """Open everything and join it; what is open is closed by the stack if something cannot be.

    Args:
        settings: What is asked for.
        observer: Who is told.
        received: Whether a signal came; opening may take long.
        opened: Takes what is open, for as long as the stream does not run.
        load: Loads the engine, also after it failed; None: the one that the settings name.
        reopen: Opens the source, also after it was lost.
        sinks: Further ones.

    Raises:
        RtSegError: Something cannot be opened or used.
        Interrupted: A signal came first.
    """
    stopped = threading.Event()
    listener = _listen(settings)
    if listener is not None:
        opened.callback(listener.close)
    source = received.call(lambda: paced(reopen(), settings, stopped))
    opened.callback(source.close)
    shared = Shared.of(settings)
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
    journal = outputs.journal(policy_of(settings))
    refine = make_refine(shared, journal, source.info, also=None if view is None else view.book)
    hide = without_source(settings.source, source.info) if settings.redact else str
    report = Report(shared.status, journal, refine, hide=hide)
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
        lost_beside=partial(_lost_beside, journal, shared.snapshots, screen if source.info.live else None),
    )
    info, engine_info = source.info, engine.info
    return Running(
        shared, pipeline, segment, screen, view, journal, report, observer, received, info, engine_info, hide
    )


def _lost_beside(journal: Journal, snapshots: Scribe, screen: Screen | None) -> dict[str, int]:
    """What events, snapshots and the window of a live stream lost, by cause."""
    return journal.lost | snapshots.lost | ({} if screen is None else {"window": screen.dropped})


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
