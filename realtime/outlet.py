"""`Outlet`: a sink with its channel and its thread.

With a file, the first error is reported and ends the outlet. With a live source a sink that fails is closed, what comes
is lost and counted, and a new one is made in its place, after waits that grow: the picture never waits for a disk.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .backoff import Backoff
from .channel import Channel, Policy
from .frame import Rendered
from .sinks.files import TruncatedError
from .sinks.sink import Sink
from .state import Status
from .statistics import Statistics

CAPACITY = 4
"""Pictures that may wait for a sink."""

RECORDING = "record"
"""Name of the sink that the recording dot stands for."""

_STUCK_SECONDS = 3.0  # a write that takes longer counts as stopped
_STEADY_SECONDS = 30.0  # a sink that works so long ends the counting of attempts


@dataclass(frozen=True, slots=True)
class Output:
    """A sink that may come, go and come back.

    Attributes:
        name: See `Sink.name`.
        sink: The first one; None: it is made when it is wanted.
        remake: Makes the one that follows one that failed or was not wanted; None: there is none.
        wanted: Asked before each picture.
    """

    name: str
    sink: Sink | None = None
    remake: Callable[[], Sink] | None = None
    wanted: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Part:
    """What one sink wrote.

    Attributes:
        path: Its file or folder.
        span: Stream times in seconds of its first and its last picture; None: it took none.
    """

    path: Path
    span: tuple[float, float] | None


class Outlet:
    """Writes what it is given, on a thread of its own. The other methods are thread-safe.

    Args:
        output: Where pictures go; closed by the thread.
        policy: EVERY: whoever gives a picture waits; LATEST: what the sink cannot take is lost and counted.
        statistics: Where times are counted.
        status: Where it is said that the sink stopped or works again.
        on_error: Told what went wrong.
        on_taken: Told of each picture before it is written; for the sink whose hand-over is measured.
        backoff: The waits before a failed sink is made again.
    """

    def __init__(
        self,
        output: Output,
        policy: Policy,
        statistics: Statistics,
        status: Status,
        *,
        on_error: Callable[[BaseException], None],
        on_taken: Callable[[Rendered], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = output.name
        self.channel: Channel[Rendered] = Channel(CAPACITY, policy)
        self.missed = 0  # pictures that are lost because the sink failed
        self._unwanted = 0
        self._parts: list[Part] = []
        self._span: tuple[float, float] | None = None  # of what the sink has written so far
        self.notes: list[str] = []
        self._output = output
        self._sink = output.sink
        self._live = policy is Policy.LATEST
        self._statistics = statistics
        self._status = status
        self._on_error = on_error
        self._on_taken = on_taken
        self._backoff = backoff or Backoff()
        self._retry_at = 0.0
        self._busy_since: float | None = None
        self.thread = threading.Thread(target=self._run, name=f"rt-seg {output.name}", daemon=True)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What was written, or is, as far as it is there."""
        sink = self._sink
        open_now = () if sink is None or sink.path is None else (Part(sink.path, self._span),)
        return tuple(part for part in (*self._parts, *open_now) if part.path.exists())

    @property
    def written(self) -> tuple[Path, ...]:
        """Files and folders that were written, or are."""
        return tuple(part.path for part in self.parts)

    @property
    def dropped(self) -> int:
        """Pictures that were wanted and lost, because the sink was slow."""
        return self.channel.dropped - self._unwanted

    def put(self, rendered: Rendered) -> None:
        """Hand over a picture; see `Channel.put`. Called by one thread."""
        before = self.channel.dropped
        self.channel.put(rendered)
        if self.channel.dropped > before and not self._output.wanted():
            self._unwanted += 1
        since = self._busy_since
        if self._live and since is not None and time.monotonic() - since > _STUCK_SECONDS:
            self._status.stop(self.name)

    def _run(self) -> None:
        try:
            for rendered in self.channel:
                self._write(rendered)
        except _Stopped:
            pass
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            self._on_error(exc)
        finally:
            self.missed += self.channel.cancel()
            self._close()

    def _write(self, rendered: Rendered) -> None:
        if self._on_taken is not None:
            self._on_taken(rendered)
        if not self._output.wanted():
            self._close()
            self._status.resume(self.name)  # what nobody wants has not stopped
            self._say_recording()
            return
        sink = self._sink or self._make()
        if sink is None:
            self.missed += 1
            return
        self._write_to(sink, rendered)
        self._say_recording()

    def _write_to(self, sink: Sink, rendered: Rendered) -> None:
        start = time.perf_counter_ns()
        self._busy_since = time.monotonic()
        try:
            sink.write(rendered)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            self.missed += 1 + _cut_off(exc)
            self._fail(exc)
        else:
            seconds = rendered.frame.pts_seconds
            self._span = (seconds if self._span is None else self._span[0], seconds)
            self._works()
            self._statistics.add_stage(self.name, time.perf_counter_ns() - start)
        finally:
            self._busy_since = None

    def _works(self) -> None:
        """A picture was written: what was said of trouble holds no longer."""
        if self.name in self._status.stopped:
            self._status.resume(self.name)
        if self._backoff.attempts and time.monotonic() - self._retry_at > _STEADY_SECONDS:
            self._backoff.reset()

    def _say_recording(self) -> None:
        if self.name == RECORDING:
            self._status.recording = self._sink is not None

    def _fail(self, error: BaseException) -> None:
        self._on_error(error)
        if not self._live:
            raise _Stopped
        self._status.stop(self.name)
        self._close()
        self._retry_at = time.monotonic() + self._backoff.next_wait()

    def _make(self) -> Sink | None:
        """The next sink, if it can be made and the wait before it is over."""
        remake = self._output.remake
        if remake is None or time.monotonic() < self._retry_at:
            return None
        try:
            self._sink = remake()
        except Exception as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            self._fail(exc)
        return self._sink

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            sink.close()
        except BaseException as exc:  # noqa: BLE001 - an earlier error counts more
            self.missed += _cut_off(exc)
            self._on_error(exc)
        if sink.path is not None:
            self._parts.append(Part(sink.path, self._span))
        self._span = None
        self.notes.extend(sink.notes)


def _cut_off(error: BaseException) -> int:
    """Pictures that were written and are lost with an error."""
    return error.pictures if isinstance(error, TruncatedError) else 0


class _Stopped(Exception):  # noqa: N818 - the error was reported already
    """A sink of a file failed."""
