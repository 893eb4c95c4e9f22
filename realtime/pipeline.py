"""`Pipeline`: the stages on their threads, from source to sinks, with one way to stop.

```
aligned       capture ──frames──▶ crew (prepare, infer) ──promises──▶ show (refine, render) ──▶ outlets
   of a file   capture, prepare ──▶ crew (infer) ──▶ the same
passthrough   capture ──frames──▶ show (render, with the newest segmentation) ──▶ outlets
                                     └──frames, once shown──▶ crew ──promises──▶ follow (refine) ──▶ the newest
```

With *aligned* each frame waits for its own segmentation. With *passthrough* (live sources only) a frame is shown at
once, and what is drawn is the newest segmentation there is by then. The crew gets such a frame when it was handed over,
and not when it was captured: on a machine with few cores, preparing and inferring would else take one from the picture
in the few milliseconds that it needs.

What failure does is a matter of the channels' policy. EVERY (a file): the first error stops everything. LATEST (a live
source): the source, the engine and the sinks are each kept up by their own part (`Capture`, `Crew`, `Outlet`), which
notes the error here and goes on; only a source that is given up, or a defect of ours, ends the stream.

All threads are daemons: a call into FFmpeg or a driver can hang and cannot be cancelled. A moment after `stop` such a
thread is abandoned, and what it kept waiting is finalised without it.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from rt_seg.errors import EngineError, OutputError, SourceInterrupted

from .capture import Capture
from .channel import Channel, Policy
from .crew import Captured, Crew, Promise
from .frame import Frame, Prepared, Rendered, Segmentation, Showing, Span
from .live import Live, Observation
from .outlet import Outlet, Output
from .show import Show
from .sinks.sink import Sink
from .sources.source import Source
from .state import Status
from .statistics import Statistics

GRACE_SECONDS = 0.7
"""How long a stage may take to end by itself, once asked; twice that, and the process can go within two seconds."""

_SETTLE_SECONDS = 0.1  # for threads that leave as soon as nobody waits any more for the one that hangs


class Pipeline:
    """Runs one stream, once: `start`, then `wait` until it returns True.

    `stop` may be called from any thread or signal handler. What went wrong first stands in `error` afterwards, also
    where a live stream went on; `broken_off` says whether it ended the stream. Every sink is closed. Use it as a
    context manager: leaving stops it and waits.

    Args:
        source: Where frames come from; closed by the pipeline.
        prepare: Makes a frame ready; called by one thread at a time, in the order of the frames.
        segment: Infers; called by `parallel_calls` threads at once.
        render: Draws; called by one thread.
        sinks: Where frames go; each gets a thread, and is closed by it.
        refine: Works on the segmentations in their order (stabilises, tracks); called by one thread.
        admit: What of a captured frame may be seen by all that follows (redaction), on the thread that captures; None:
            nothing of it yet.
        statistics: Where it counts; a new one by default.
        status: Where it says what works; a new one by default.
        parallel_calls: Inferences in flight.
        policy: EVERY for files, LATEST for live sources: then recordings that cannot follow lose frames, too.
        live: How a live stream runs; only with LATEST.
        observation: Told what happens.
        measures: Whether delays are counted where the first sink takes a picture; False: somebody else counts them.
        lost_beside: What is lost of that which does not go through the sinks, by cause.
    """

    def __init__(
        self,
        source: Source,
        prepare: Callable[[Frame], Prepared],
        segment: Callable[[Prepared], Segmentation],
        render: Callable[[Showing], Rendered],
        sinks: Sequence[Sink | Output],
        *,
        refine: Callable[[Segmentation], Segmentation] = lambda segmentation: segmentation,
        admit: Callable[[Frame], Frame | None] | None = None,
        statistics: Statistics | None = None,
        status: Status | None = None,
        parallel_calls: int = 1,
        policy: Policy = Policy.EVERY,
        live: Live | None = None,
        observation: Observation | None = None,
        measures: bool = True,
        lost_beside: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        live = (live or Live()) if policy is Policy.LATEST else None
        self.statistics = statistics or Statistics()
        self.status = status or Status()
        self.frames_in = 0
        self.withheld = 0
        self.skipped = 0
        self.error: BaseException | None = None
        self.broken_off = False
        self._live = live
        self._passthrough = live is not None and live.display == "passthrough"
        self._prepare = prepare
        self._admit = admit
        self._observation = observation or Observation()
        self._lost_beside = lost_beside
        self._lock = threading.Lock()
        self._stop_at: float | None = None
        self._abandoned_at: float | None = None
        self._frames: Channel[Captured] = Channel(2 if live is None else 1, policy)
        self._promised: Channel[Promise] = Channel(parallel_calls + 1)
        self._capture = Capture(source, self, self.statistics, None if live is None else live.upkeep)
        self._crew = Crew(
            self._frames,
            self._promised,
            prepare,
            segment,
            calls=parallel_calls,
            care=None if live is None else live.care,
            on_engine=self._on_engine,
            background=self._passthrough,
        )
        self._outlets = [self._outlet(sink, policy, counts=measures and index == 0) for index, sink in enumerate(sinks)]
        self._show = Show(
            self._frames,
            self._promised,
            render,
            refine,
            self._outlets,
            self.statistics,
            self._observation,
            policy=policy,
            passthrough=self._passthrough,
            measures=measures,
            on_broken=partial(self._record_error, breaks_off=True),
        )

    def _outlet(self, sink: Sink | Output, policy: Policy, *, counts: bool) -> Outlet:
        output = sink if isinstance(sink, Output) else Output(sink.name, sink)
        return Outlet(
            output,
            policy,
            self.statistics,
            self.status,
            on_error=partial(self._on_output, output.name),
            on_taken=self.statistics.count_handed_over if counts else None,
        )

    # --- from outside

    def start(self) -> None:
        """Start every thread."""
        for thread in self._threads:
            thread.start()
        self._crew.start()
        self._capture.start()

    def stop(self) -> None:
        """Ask it to end as if the source had ended: what was captured is shown and written. Returns at once."""
        if self._stop_at is None:
            self._stop_at = time.monotonic()
            self._capture.stop()

    @property
    def stopped_at(self) -> float:
        """`time.monotonic` when the end was asked for; infinite before."""
        return math.inf if self._stop_at is None else self._stop_at

    @property
    def paused(self) -> bool:
        """Whether the source of a file is not read for the moment; a live one cannot be held."""
        return self._capture.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._capture.paused = paused and self._live is None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end.

        Args:
            timeout: Longest wait in seconds; None waits for ever (for the bounded time after `stop`).

        Returns:
            True once every sink is closed (or abandoned, twice `GRACE_SECONDS` after `stop`) and source and engine were
            left (or had `GRACE_SECONDS` for it since nothing more was wanted); False when the time was up first.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (alive := self._alive()) is not None:
            now = time.monotonic()
            if self._abandoned_at is not None and now > self._abandoned_at + GRACE_SECONDS:
                self._record_error(
                    OutputError(f"{self._stuck_names()} did not finish in time; its file may miss its end")
                )
                return True
            if self._stop_at is not None and now > self._stop_at + GRACE_SECONDS:
                self._abandon()
            if deadline is not None and now >= deadline:
                return False
            alive.join(0.1 if deadline is None else max(min(0.1, deadline - now), 0.0))
        return self._released(deadline)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.wait()

    @property
    def left_behind(self) -> bool:
        """After the end: whether a thread hangs in a call that cannot be cancelled."""
        return self._capture.alive or self._crew.stuck or self._alive() is not None

    @property
    def frames_out(self) -> int:
        """Frames that were rendered and handed to every sink."""
        return self.statistics.shown.count

    @property
    def outlets(self) -> Sequence[Outlet]:
        """The sinks' outlets, which know what was written."""
        return self._outlets

    @property
    def dropped(self) -> dict[str, int]:
        """Frames lost by cause.

        ``capture``: left out, because reading was behind the sender; ``infer``: not segmented, newer ones came (with
        passthrough they were shown all the same); ``show``: not shown (and with passthrough not segmented), newer ones
        came; ``redact``: withheld by `admit`; a sink's name: not written, because it was slow;
        with ``stopped``: because it had failed. What `lost_beside` tells is among them: ``window``: it was slow;
        ``events`` and ``snapshots`` like a sink, but these are counted.
        """
        lost = {"capture": self.skipped, "infer": self._frames.dropped}
        lost |= {"show": self._show.display.dropped, "redact": self.withheld}
        for outlet in self._outlets:
            lost[outlet.name] = outlet.dropped
            lost[f"{outlet.name} stopped"] = outlet.missed
        lost.update(self._lost_beside())
        return {cause: count for cause, count in lost.items() if count}

    @property
    def occupancy(self) -> dict[str, float]:
        """Mean share (0-1) of each channel that was full when something was put in, by the stage that takes from it."""
        means = {"infer": self._frames.fullness, "show": self._promised.fullness}
        if self._passthrough:
            means = {
                "infer": self._frames.fullness,
                "follow": self._promised.fullness,
                "show": self._show.display.fullness,
            }
        return means | {outlet.name: outlet.channel.fullness for outlet in self._outlets}

    @property
    def waiting(self) -> dict[str, int]:
        """How many items wait now, by the stage that takes them."""
        follow = "follow" if self._passthrough else "show"
        channels = {"infer": self._frames.waiting, follow: self._promised.waiting}
        if self._passthrough:
            channels["show"] = self._show.display.waiting
        return channels | {outlet.name: outlet.channel.waiting for outlet in self._outlets}

    # --- what the capture brings; see `capture.Receiver`

    def take_frame(self, frame: Frame, span: Span) -> None:
        """A frame of the source."""
        self.skipped += frame.skipped
        admitted = frame if self._admit is None else self._admit(frame)
        if admitted is None:
            self.withheld += 1
        else:
            self._pass_on(admitted, span)
        self.frames_in += 1

    def _pass_on(self, frame: Frame, span: Span) -> None:
        if self._passthrough:
            self._show.display.put(Showing(frame, None, spans={"capture": span}))
        else:
            self._frames.put((frame, span) if self._live is not None else self._prepared(frame, span))

    def _prepared(self, frame: Frame, span: Span) -> Prepared:
        """Prepare a file's frame at once: its pixels are still in the cache, and are read from it in 2/3 of the time.

        Of a live source it would be work for nothing on frames that are dropped, and it would hold up the picture.
        """
        prepared = self._prepare(frame)
        prepared.spans["capture"] = span
        return prepared

    def take_stand_in(self, frame: Frame) -> None:
        """A black picture in place of one that is missing: it is shown, and nothing is inferred on it."""
        if self._passthrough:
            self._show.display.put(Showing(frame, None, signal=False))
        else:
            self._promised.put(Promise(frame, None))

    def on_signal(self, present: bool, reason: str) -> None:
        """The signal was lost, or is back."""
        self.statistics.signal_losses += not present
        if not present:
            self._show.forget()
        self._observation.on_signal(present, reason, self._capture.seconds)

    def on_end(self, error: BaseException | None) -> None:
        """Nothing more comes."""
        self._show.display.close(error)
        if not self._passthrough:
            self._frames.close(error)

    # --- errors and the end

    def _on_engine(self, error: EngineError | None) -> None:
        self.status.engine = error is None
        if error is not None:
            self.statistics.engine_failures += 1
            self._record_error(error)
        self._observation.on_engine(error)

    def fail(self, name: str, error: BaseException) -> None:
        """Something that writes beside the sinks failed: with a file that is the end, a live stream goes on."""
        self.status.stop(name)
        self._on_output(name, error)
        if self._live is None:
            self.stop()

    def _on_output(self, name: str, error: BaseException) -> None:
        self._record_error(error)
        self._observation.on_output(name, error)

    def _record_error(self, error: BaseException, *, breaks_off: bool = False) -> None:
        with self._lock:
            if self.error is None:
                self.error = error
            self.broken_off = self.broken_off or breaks_off or self._live is None

    @property
    def _threads(self) -> tuple[threading.Thread, ...]:
        """Those that must end before the pipeline has."""
        return *self._show.threads, *(outlet.thread for outlet in self._outlets)

    def _alive(self) -> threading.Thread | None:
        """Any thread that must end, if one has not."""
        return next((thread for thread in self._threads if thread.is_alive()), None)

    def _stuck_names(self) -> str:
        return ", ".join(thread.name.removeprefix("rt-seg ") for thread in self._threads if thread.is_alive())

    def _released(self, deadline: float | None) -> bool:
        """Have source and engine left, within the grace: a process that ends around a call into them may crash."""
        self.stop()  # nothing more is wanted, however it came to that
        until = max((self._stop_at or 0.0) + GRACE_SECONDS, (self._abandoned_at or 0.0) + _SETTLE_SECONDS)
        soonest = until if deadline is None else min(until, deadline)
        released = self._capture.join(max(soonest - time.monotonic(), 0.0))
        released &= self._crew.join(max(soonest - time.monotonic(), 0.0))
        return released or time.monotonic() >= until

    def _abandon(self) -> None:
        """Let everything that still waits for a hung thread go on without it."""
        if self._abandoned_at is not None:
            return
        self._abandoned_at = time.monotonic()
        error = None
        if self._live is None and self._capture.alive:
            error = SourceInterrupted("the source did not answer in time when asked to stop; it was left")
        self.on_end(error)
        self._crew.abandon()
