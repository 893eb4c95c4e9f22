"""`Run`: the parts of a stream that a Python loop iterates over, and where its results wait."""

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import cv2

from rt_seg.engines.engine import Engine
from rt_seg.engines.field_of_view import check_roi, parse_roi
from rt_seg.engines.load import load_engine

from .assembly import (
    Shared,
    make_follow,
    make_opener,
    make_pipeline,
    make_refine,
    make_upkeep,
    paced,
)
from .channel import Channel, ChannelClosed, Policy
from .frame import Rendered, Showing
from .hud import Hud
from .overlay import Overlay
from .render import Render
from .report import Report
from .scribe import Journal
from .segment import Segment
from .settings import StreamSettings
from .state import StreamState

_AHEAD = 2
"""Results of a file that wait for the loop; with those on their way, about ten frames are in memory."""

_log = logging.getLogger("rt_seg")


class Run:
    """Opens source and engine; `take` starts the threads with its first call. Only `release` is thread-safe.

    Args:
        settings: What is asked for.
        engine: One that is loaded and stays its owner's; None: the one that the settings name.

    Attributes:
        source: What is known of the source.
        engine: What infers.
        pipeline: Whose error, counts and end it is.

    Raises:
        RtSegError: Something cannot be opened or used; nothing is left open.
    """

    def __init__(self, settings: StreamSettings, engine: Engine | None) -> None:
        self._given = engine is not None
        self._started = False
        with ExitStack() as opened:
            self._join(settings, engine, opened)
            opened.pop_all()

    def _join(self, settings: StreamSettings, engine: Engine | None, opened: ExitStack) -> None:
        """Open everything; what is open is closed by the stack if something cannot be."""
        stopped, reopen = threading.Event(), make_opener(settings)
        source = self._opened = paced(reopen(), settings, stopped)
        opened.callback(source.close)
        info = self.source = source.info
        for line in settings.unused:
            _log.warning("%s: %s", info.name, line)
        check_roi(parse_roi(settings.roi), info.width, info.height)
        shared = Shared.of(settings)

        def load() -> Engine:
            return load_engine(settings.engine, precision=settings.precision)

        if engine is None:
            engine = load()
            opened.callback(engine.close)
        self.engine = engine.info
        segment = self._segment = Segment(engine, settings.threshold, None if self._given else load)
        policy = Policy.LATEST if info.live else Policy.EVERY
        self._results: Channel[Rendered] = Channel(1 if info.live else _AHEAD, policy)
        journal = Journal(policy, None)
        refine = make_refine(shared, journal, info)
        self._report = Report(shared.status, journal, refine)
        self.pipeline = make_pipeline(
            shared,
            source,
            engine,
            segment,
            _make_hand_over(shared),
            [_Loop(self._results)],
            refine,
            self._report,
            make_upkeep(settings, info, reopen, stopped),
            restarts=not self._given,
        )

    def take(self) -> Rendered | None:
        """Wait for the next picture; None at the end, when all threads have left."""
        if not self._started:
            self._started = True
            _opencv.take()
            self.pipeline.start()
        try:
            return self._results.get()
        except ChannelClosed:
            self.pipeline.wait()
            return None
        finally:
            for line in self._report.take_lines():
                _log.warning("%s: %s", self.source.name, line)

    @property
    def dropped(self) -> dict[str, int]:
        """See `Pipeline.dropped`; ``loop``: the loop was slow."""
        lost = self.pipeline.dropped
        loop = lost.pop(_Loop.name, 0) + self._results.dropped
        return lost | ({_Loop.name: loop} if loop else {})

    @property
    def fatal(self) -> BaseException | None:
        """What ended it, if by an error."""
        return self.pipeline.error if self.pipeline.broken_off else None

    def release(self) -> None:
        """Stop and close everything. Called once."""
        self._results.cancel()
        if threading.current_thread().name.startswith("rt-seg "):
            # the collector may call from any thread, also from one that would be waited for
            threading.Thread(target=self._close, name="rt-seg release", daemon=True).start()
        else:
            self._close()

    def _close(self) -> None:
        if self._started:
            self.pipeline.stop()
            self.pipeline.wait()
            _opencv.give_back()
        else:
            self._opened.close()
        if not self._given and not (self._started and self.pipeline.left_behind):
            self._segment.close()  # it may hang as a call into it does


class _Loop:
    """The sink that hands pictures to the loop; see `Sink`."""

    name = "loop"
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, results: Channel[Rendered]) -> None:
        self._results = results

    def write(self, rendered: Rendered) -> None:
        """Wait until the loop has room (EVERY), or let go of an older picture (LATEST)."""
        try:
            self._results.put(rendered)
        except ChannelClosed:
            return  # the loop was left

    def close(self) -> None:
        """Tell the loop that nothing more comes."""
        self._results.close()


def _make_hand_over(shared: Shared) -> "_HandOver":
    follow = make_follow(shared.settings)
    return _HandOver(Overlay("none"), Hud(), shared.controls, shared.statistics, shared.status, follow=follow)


class _HandOver(Render):
    """Chooses mask and state as for a picture, but draws nothing and so copies nothing."""

    def __call__(self, showing: Showing) -> Rendered:
        """Take one frame."""
        if not showing.signal:
            state, segmentation = StreamState.NO_SIGNAL, None
        else:
            segmentation = self._chosen(showing)
            state = self._state(showing, segmentation)
        spans = showing.spans if segmentation is None else {**showing.spans, **segmentation.spans}
        image, now = showing.frame.image, time.perf_counter_ns()
        return Rendered(showing.frame, image, segmentation, spans, now, state, signal=showing.signal)


class _OpenCvThreads:
    """Keeps OpenCV's pool from fighting the pipeline's threads for the cores, while any stream runs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams = 0
        self._before = 0

    def take(self) -> None:
        with self._lock:
            if self._streams == 0:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._streams += 1

    def give_back(self) -> None:
        with self._lock:
            self._streams -= 1
            if self._streams == 0:
                cv2.setNumThreads(self._before)


_opencv = _OpenCvThreads()
