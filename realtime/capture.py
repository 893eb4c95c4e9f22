"""`Capture`: reads the source on a thread of its own; of a live one it also watches that pictures come.

A file is read once, from beginning to end, and the reader waits where the pipeline is full.

A live source has two threads. The *reader* opens, reads and closes, and may hang in any of these calls. The *watch*
never touches the source: it wakes when a picture is overdue, says that the signal is lost, gives a stand-in picture a
few times a second, and leaves a reader that hangs behind and starts another. What a reader that was left behind still
brings is not taken. A source that breaks off is opened again, after waits that grow.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Protocol

import numpy as np

from rt_seg.errors import RtSegError, SourceError, SourceInterrupted

from .backoff import Backoff
from .channel import ChannelClosed
from .frame import Frame, Span
from .live_clock import LiveClock
from .sources.selection import Selection
from .sources.source import Source
from .statistics import Statistics
from .upkeep import Upkeep

_STAND_IN_SECONDS = 0.25  # from one stand-in picture to the next
_STEADY_SECONDS = 5.0  # a connection that holds so long ends the counting of attempts


class Receiver(Protocol):
    """Where captured frames go. May be called by two threads, never at once."""

    def take_frame(self, frame: Frame, span: Span) -> None:
        """A frame, and when it was read.

        Raises:
            ChannelClosed: No more are wanted.
        """
        ...

    def take_stand_in(self, frame: Frame) -> None:
        """A black picture in place of one that is missing; see `take_frame`."""
        ...

    def on_signal(self, present: bool, reason: str) -> None:
        """The signal was lost, or is back."""
        ...

    def on_end(self, error: BaseException | None) -> None:
        """Nothing more comes; what it ended by, if by an error."""
        ...


class _NoMoreWanted(Exception):  # noqa: N818 - an end, not an error
    """The rest of the source is not wanted."""


_ENDS = (_NoMoreWanted, ChannelClosed)


class Capture:
    """Reads a source until it ends or `stop`.

    Args:
        source: An open source; closed by the thread that reads it.
        receiver: Where frames go.
        statistics: Where times are counted.
        upkeep: How a live source is kept up; None for a file.
    """

    def __init__(self, source: Source, receiver: Receiver, statistics: Statistics, upkeep: Upkeep | None) -> None:
        self.paused = False
        self._source = source
        self._receiver = receiver
        self._statistics = statistics
        self._upkeep = upkeep
        self._stopped = threading.Event() if upkeep is None else upkeep.stopped
        self._lock = threading.RLock()  # held while the receiver is called: a reader that is replaced adds nothing
        self._ended = False  # the receiver was told so
        self._done = False  # the selected part is over
        self._frames = 0
        self._size = (source.info.width, source.info.height)
        self._clock = LiveClock()
        self._backoff = Backoff() if upkeep is None else upkeep.backoff()
        self._reader: threading.Thread | None = None
        self._calling_since: float | None = None
        self._last_picture = self._connected_at = time.monotonic()
        self._lost = False
        self._why_lost = ""
        self._watch = threading.Thread(target=self._run_watch, name="rt-seg watch", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._last_picture = self._connected_at = time.monotonic()
        self._start_reader(self._source)
        if self._upkeep is not None:
            self._watch.start()

    def stop(self) -> None:
        """Take no more frames. For any thread and for signal handlers, once."""
        self._stopped.set()

    def join(self, timeout: float) -> bool:
        """Wait until the source is released; False if its thread hangs."""
        if self._reader is not None:
            self._reader.join(timeout)
        return not self.alive

    @property
    def seconds(self) -> float:
        """Stream time of the newest picture, of a live source."""
        return self._clock.seconds

    @property
    def alive(self) -> bool:
        """Whether a thread is still at the source."""
        return self._reader is not None and self._reader.is_alive()

    # --- the reader

    def _start_reader(self, source: Source | None) -> None:
        self._reader = threading.Thread(target=self._run_reader, args=(source,), name="rt-seg capture", daemon=True)
        self._reader.start()

    def _run_reader(self, source: Source | None) -> None:
        error: BaseException | None = None
        try:
            while source is not None or (source := self._open_again()) is not None:
                error = self._drain(source)
                source = None
                if not self._comes_back(error):
                    break
                error = None  # it was said that the signal is lost; what counts now is whether it returns
        except _ENDS:
            self._done = True
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        if self._stopped.is_set() and self._upkeep is not None:
            error = None  # asked to end: how the source took it matters to nobody
        self._end(self._given_up() if error is None else error)

    def _drain(self, source: Source) -> BaseException | None:
        """Read a source to its end and release it; what it ended by, if by an error."""
        error: BaseException | None = None
        try:
            self._read_all(iter(source))
        except _ENDS:
            self._done = self._done or not self._replaced
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        try:
            with self._calling():
                source.close()
        except BaseException as exc:  # noqa: BLE001 - an earlier error counts more
            error = error or exc
        return error

    def _read_all(self, frames: Iterator[Frame]) -> None:
        while not self._stopped.is_set():
            while self.paused and not self._stopped.is_set():
                self._stopped.wait(0.05)
            start = time.perf_counter_ns()
            with self._calling():
                frame = next(frames, None)
            if frame is None:
                return
            self._deliver(frame, Span(start, time.perf_counter_ns()))

    def _deliver(self, frame: Frame, span: Span) -> None:
        if self._upkeep is None:
            self._statistics.add_stage("capture", span.end_ns - span.start_ns)
            self._receiver.take_frame(frame, span)
            return
        with self._lock:
            if self._ended or self._replaced:
                raise _NoMoreWanted
            self._deliver_live(frame, span, self._upkeep)

    def _deliver_live(self, frame: Frame, span: Span, upkeep: Upkeep) -> None:
        frame = replace(frame, index=self._frames, pts_seconds=self._clock.place(frame.pts_seconds, frame.captured_ns))
        if upkeep.selection.ends_before(frame.pts_seconds) or not upkeep.selection.allows(self._frames):
            raise _NoMoreWanted
        self._picture_came(frame)
        self._frames += 1
        self._receiver.take_frame(frame, span)
        self._statistics.add_stage("capture", span.end_ns - span.start_ns)
        if not upkeep.selection.allows(self._frames):
            raise _NoMoreWanted

    def _picture_came(self, frame: Frame) -> None:
        now = time.monotonic()
        self._size = (frame.width, frame.height)
        self._last_picture = now
        if self._lost:
            self._lost = False
            self._connected_at = now
            self._receiver.on_signal(True, "")
        elif self._backoff.attempts and now - self._connected_at > _STEADY_SECONDS:
            self._backoff.reset()

    @property
    def _replaced(self) -> bool:
        return threading.current_thread() is not self._reader

    @contextmanager
    def _calling(self) -> Generator[None]:
        """Notes since when the source has been called: such a call may never return."""
        self._note_call(time.monotonic())
        try:
            yield
        finally:
            self._note_call(None)

    def _note_call(self, since: float | None) -> None:
        if not self._replaced:
            self._calling_since = since

    # --- opening again

    def _comes_back(self, error: BaseException | None) -> bool:
        """Whether a source that ended is opened again."""
        upkeep = self._upkeep
        if upkeep is None or upkeep.reopen is None or self._stopped.is_set() or self._replaced or self._ended:
            return False
        if error is not None and not isinstance(error, RtSegError):
            return False  # a defect
        if self._done:
            return False
        with self._lock:
            self._lose(str(error) if error is not None else "the sender ended the stream")
            self._give_stand_in(upkeep.selection)
        return True

    def _open_again(self) -> Source | None:
        """Wait and try until it is open; None when it is not wanted any more or the attempts are used up."""
        upkeep = self._upkeep
        if upkeep is None or upkeep.reopen is None:
            return None
        while upkeep.reconnect is None or self._backoff.attempts < upkeep.reconnect:
            if self._stopped.wait(self._backoff.next_wait()) or self._replaced:
                return None
            try:
                with self._calling():
                    source = upkeep.reopen()
            except SourceError as exc:
                self._why_lost = str(exc)
            else:
                self._statistics.reconnects += 1
                return source
        return None

    def _given_up(self) -> SourceInterrupted | None:
        """The error of a live source that stayed away."""
        if (
            self._upkeep is None
            or self._upkeep.reopen is None
            or not self._lost
            or self._stopped.is_set()
            or self._done
        ):
            return None
        count = self._backoff.attempts
        return SourceInterrupted(f"{self._why_lost} (given up after {count} attempt{'s' * (count != 1)} to reconnect)")

    # --- the watch

    def _run_watch(self) -> None:
        upkeep = self._upkeep
        assert upkeep is not None  # noqa: S101 - for the checkers: it runs for live sources only
        with suppress(*_ENDS):
            while not self._stopped.wait(self._until_due(upkeep)) and not self._ended:
                with self._lock:
                    self._look(upkeep)
        self._end(None)

    def _until_due(self, upkeep: Upkeep) -> float:
        if self._lost or self._ended:
            return _STAND_IN_SECONDS
        overdue_in = max(self._last_picture + upkeep.signal_timeout - time.monotonic(), 0.0) + 0.001
        return min(overdue_in, _STAND_IN_SECONDS)  # the reader may find out first that the signal is lost

    def _look(self, upkeep: Upkeep) -> None:
        now = time.monotonic()
        if self._ended or (not self._lost and now < self._last_picture + upkeep.signal_timeout):
            return
        self._lose(f"no picture for {upkeep.signal_timeout:g} s")
        self._give_stand_in(upkeep.selection)
        since = self._calling_since
        if upkeep.reopen is not None and since is not None and now - since > upkeep.hung_seconds:
            self._why_lost = f"the source did not answer for {upkeep.hung_seconds:g} s"
            self._calling_since = None
            self._start_reader(None)

    def _lose(self, reason: str) -> None:
        if not self._lost:
            self._lost, self._why_lost = True, reason
            self._receiver.on_signal(False, reason)

    def _give_stand_in(self, selection: Selection) -> None:
        stamp = time.perf_counter_ns()
        seconds = self._clock.place_stand_in(stamp)
        if selection.ends_before(seconds):
            self._done = True
            raise _NoMoreWanted
        width, height = self._size
        self._receiver.take_stand_in(Frame(self._frames, seconds, stamp, np.zeros((height, width, 3), np.uint8)))

    def _end(self, error: BaseException | None) -> None:
        with self._lock:
            if not self._ended and not (self._replaced and threading.current_thread() is not self._watch):
                self._ended = True
                self._receiver.on_end(error)
