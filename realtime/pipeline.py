"""`Pipeline`: the stages on their threads, from source to sinks, with one way to stop.

```
capture ──frames──▶ workers (preprocess, infer) ──in order──▶ render ──▶ a channel and a thread for each sink
```

A worker takes a frame, prepares it and queues a promise of its segmentation while it holds a lock, then infers without
the lock: so several inferences are in flight, the promises stand in the order of the frames, and of a live source the
newest frame is taken only when somebody is free to work on it.

All threads are daemons: a call into FFmpeg or a driver can hang and cannot be cancelled. A second after `stop` such a
thread is abandoned, and what it kept waiting is finalised without it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from types import TracebackType
from typing import Self

from rt_seg.errors import EngineError, OutputError, SourceInterrupted

from .channel import Channel, ChannelClosed, Policy
from .frame import Frame, Prepared, Rendered, Segmentation, Span
from .sinks.sink import Sink
from .sources.source import Source
from .statistics import Statistics

GRACE_SECONDS = 1.0
_LEAVE_SECONDS = 5.0
_SINK_CAPACITY = 4


class Pipeline:
    """Runs one stream, once: `start`, then `wait` until it returns True.

    `stop` may be called from any thread or signal handler.

    The first error stops everything; frames before it reach every sink, and every sink is closed. The error stands in
    `error` afterwards. Use it as a context manager: leaving stops it and waits.

    Args:
        source: Where frames come from; closed by the pipeline.
        prepare: Makes a frame ready; called by one thread at a time, in the order of the frames.
        segment: Infers; called by `parallel_calls` threads at once.
        render: Draws; called by one thread.
        sinks: Where frames go; each gets a thread, and is closed by it.
        statistics: Where it counts; a new one by default.
        parallel_calls: Inferences in flight.
        policy: EVERY for files, LATEST for live sources: then recordings that cannot follow lose frames, too.
    """

    def __init__(
        self,
        source: Source,
        prepare: Callable[[Frame], Prepared],
        segment: Callable[[Prepared], Segmentation],
        render: Callable[[Segmentation], Rendered],
        sinks: Sequence[Sink],
        *,
        statistics: Statistics | None = None,
        parallel_calls: int = 1,
        policy: Policy = Policy.EVERY,
    ) -> None:
        self.statistics = statistics or Statistics()
        self.frames_in = 0
        self.error: BaseException | None = None
        self._source = source
        self._prepare = prepare
        self._segment = segment
        self._render = render
        self._sinks = list(sinks)
        self._frames: Channel[tuple[Frame, Span]] = Channel(1 if policy is Policy.LATEST else 2, policy)
        self._promised: Channel[Future[Segmentation]] = Channel(parallel_calls + 1)
        self._outlets: list[Channel[Rendered]] = [Channel(_SINK_CAPACITY, policy) for _ in self._sinks]
        self._taking = threading.Lock()
        self._pending: set[Future[Segmentation]] = set()
        self._lock = threading.Lock()
        self._stop_at: float | None = None
        self._abandoned_at: float | None = None
        self._capture_thread = self._thread("capture", self._run_capture)
        self._worker_threads = [self._thread(f"infer-{i}", self._run_worker) for i in range(parallel_calls)]
        self._ending_threads = [self._thread("render", self._run_render)]
        for sink, outlet in zip(self._sinks, self._outlets, strict=True):
            self._ending_threads.append(self._thread(sink.name, self._run_sink, sink, outlet))

    @staticmethod
    def _thread(name: str, target: Callable[..., None], *args: object) -> threading.Thread:
        return threading.Thread(target=target, args=args, name=f"rt-seg {name}", daemon=True)

    def start(self) -> None:
        """Start every thread."""
        for thread in (self._capture_thread, *self._worker_threads, *self._ending_threads):
            thread.start()

    def stop(self) -> None:
        """Ask it to end as if the source had ended: what was captured is shown and written. Returns at once."""
        if self._stop_at is None:
            self._stop_at = time.monotonic()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end.

        Args:
            timeout: Longest wait in seconds; None waits for ever (for the bounded time after `stop`).

        Returns:
            True once every sink is closed (or abandoned, two seconds after `stop`); False when the time was up first.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while any(thread.is_alive() for thread in self._ending_threads):
            now = time.monotonic()
            if self._abandoned_at is not None and now > self._abandoned_at + GRACE_SECONDS:
                stuck = ", ".join(t.name.removeprefix("rt-seg ") for t in self._ending_threads if t.is_alive())
                self._record_error(OutputError(f"{stuck} did not finish in time; its file may miss its end"))
                return True
            if self._stop_at is not None and now > self._stop_at + GRACE_SECONDS:
                self._abandon()
            if deadline is not None and now >= deadline:
                return False
            self._join_one(0.1 if deadline is None else min(0.1, deadline - now))
        return True

    def _join_one(self, timeout: float) -> None:
        """Wait for any thread that must end, without spinning."""
        next(thread for thread in self._ending_threads if thread.is_alive()).join(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.wait()
        if self._abandoned_at is None:
            # after an error inference may still be at work: a thread that comes back from OpenVINO or FFmpeg while
            # Python ends aborts the process
            for thread in (self._capture_thread, *self._worker_threads):
                thread.join(_LEAVE_SECONDS)

    @property
    def frames_out(self) -> int:
        """Frames that were rendered and handed to every sink."""
        return self.statistics.shown.count

    @property
    def dropped(self) -> dict[str, int]:
        """Frames lost by cause: ``infer`` before inference, a sink's name before it took them; newer ones came."""
        lost = {"infer": self._frames.dropped}
        lost |= {sink.name: outlet.dropped for sink, outlet in zip(self._sinks, self._outlets, strict=True)}
        return {cause: count for cause, count in lost.items() if count}

    @property
    def occupancy(self) -> dict[str, float]:
        """Mean share (0-1) of each channel that was full when something was put in, by the stage that takes from it."""
        channels: dict[str, Channel[tuple[Frame, Span]] | Channel[Future[Segmentation]] | Channel[Rendered]] = {
            "infer": self._frames,
            "render": self._promised,
        }
        channels |= {sink.name: outlet for sink, outlet in zip(self._sinks, self._outlets, strict=True)}
        return {name: channel.mean_occupancy / channel.capacity for name, channel in channels.items()}

    # --- the stages, each on its thread

    def _run_capture(self) -> None:
        error: BaseException | None = None
        try:
            self._capture_all()
        except ChannelClosed:
            pass
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        try:
            self._source.close()
        except BaseException as exc:  # noqa: BLE001 - an earlier error counts more
            error = error or exc
        self._frames.close(error)

    def _capture_all(self) -> None:
        frames = iter(self._source)
        while self._stop_at is None:
            start = time.perf_counter_ns()
            frame = next(frames, None)
            if frame is None:
                return
            span = Span(start, time.perf_counter_ns())
            self.statistics.add_stage("capture", span.end_ns - span.start_ns)
            self._frames.put((frame, span))
            self.frames_in += 1

    def _run_worker(self) -> None:
        error: BaseException | None = None
        try:
            while True:
                self._work(*self._take())
        except ChannelClosed:
            pass
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        # each frame taken so far has its promise queued (both happen under the lock): the first to leave may close
        self._frames.cancel()
        self._promised.close(error)

    def _take(self) -> tuple[Prepared, "Future[Segmentation]"]:
        with self._taking:
            frame, captured = self._frames.get()
            prepared = self._prepare(frame)
            prepared.spans["capture"] = captured
            promise: Future[Segmentation] = Future()
            with self._lock:
                self._pending.add(promise)
            self._promised.put(promise)
            return prepared, promise

    def _work(self, prepared: Prepared, promise: "Future[Segmentation]") -> None:
        try:
            promise.set_result(self._segment(prepared))
        except InvalidStateError:
            return  # abandoned meanwhile
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller in the frame's place
            if not promise.done():
                promise.set_exception(exc)
        finally:
            with self._lock:
                self._pending.discard(promise)

    def _run_render(self) -> None:
        error: BaseException | None = None
        try:
            for promise in self._promised:
                self._hand_over(self._render(promise.result()))
        except ChannelClosed:
            pass
        except CancelledError:
            error = EngineError(
                "the engine did not answer within a second of being asked to stop; its last frames are missing"
            )
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            error = exc
        if error is not None:
            self._record_error(error)
        self._promised.cancel()
        for outlet in self._outlets:
            outlet.close()

    def _hand_over(self, rendered: Rendered) -> None:
        for outlet in self._outlets:
            outlet.put(rendered)
        if not self._outlets:
            self._count_delay(rendered)
        self.statistics.shown.add(rendered.rendered_ns)
        self.statistics.with_polyps += bool(rendered.segmentation.polyps)
        for stage in ("preprocess", "infer", "overlay"):
            span = rendered.spans[stage]
            self.statistics.add_stage(stage, span.end_ns - span.start_ns)

    def _count_delay(self, rendered: Rendered) -> None:
        now = time.perf_counter_ns()
        self.statistics.video_delay.add(now - rendered.frame.captured_ns)
        self.statistics.annotation_delay.add(now - rendered.segmentation.frame.captured_ns)

    def _run_sink(self, sink: Sink, outlet: Channel[Rendered]) -> None:
        first = sink is self._sinks[0]
        try:
            for rendered in outlet:
                start = time.perf_counter_ns()
                if first:
                    self._count_delay(rendered)
                sink.write(rendered)
                self.statistics.add_stage(sink.name, time.perf_counter_ns() - start)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it travels to the caller
            self._record_error(exc)
        finally:
            outlet.cancel()
            try:
                sink.close()
            except BaseException as exc:  # noqa: BLE001 - an earlier error counts more
                self._record_error(exc)

    # --- errors and the end

    def _record_error(self, error: BaseException) -> None:
        with self._lock:
            if self.error is None:
                self.error = error

    def _abandon(self) -> None:
        """Let everything that still waits for a hung thread go on without it."""
        if self._abandoned_at is not None:
            return
        self._abandoned_at = time.monotonic()
        if self._capture_thread.is_alive():
            self._frames.close(
                SourceInterrupted("the source did not answer within a second of being asked to stop; it was left")
            )
        with self._lock:
            pending = list(self._pending)
        for promise in pending:
            promise.cancel()
