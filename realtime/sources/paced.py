"""`PacedSource`: a file that plays at its own pace, as if a camera delivered it."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from rt_seg.realtime.frame import Frame

from .source import Source, SourceInfo

_LONGEST_REST = 0.016  # seconds: a frame is drawn in a third of that, and the next interval may be a short one
_REMEMBERED = 30  # frames whose intervals and decoding are expected to come again
_LATE_SECONDS = 0.25  # decoding that falls behind by more makes the clock wait: frames never come in a burst


class PacedSource:
    """Holds each frame back until it is due. Passive and not thread-safe: one thread iterates and closes.

    The next frame is decoded in the second half of the time until it is due, and is captured when it is due:
    `Frame.captured_ns` is the moment at which a capture card would have had it complete. Decoding right after the frame
    before, as a file allows, would take a core from that frame while it is drawn, which no camera does: what it
    delivers is received and decoded before it is a frame in memory, and so before its `captured_ns`. Where decoding
    may take more than half of the shortest interval it begins earlier.

    Args:
        source: What is played; closed with this.
        sleep: Waits so many seconds, and returns True if the stream is to end; it must return at once then.
        clock: Monotonic nanoseconds, as `time.perf_counter_ns`.
    """

    def __init__(
        self, source: Source, sleep: Callable[[float], bool], clock: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._source = source
        self._sleep = sleep
        self._clock = clock

    @property
    def info(self) -> SourceInfo:
        """That of the file, but live."""
        return replace(self._source.info, live=True)

    def __iter__(self) -> Iterator[Frame]:
        """Deliver frames when they are due; see `Source.__iter__`."""
        begun: float | None = None
        last_seconds = 0.0
        gaps: deque[float] = deque(maxlen=_REMEMBERED)
        costs: deque[float] = deque(maxlen=_REMEMBERED)
        frames = iter(self._source)
        while not self._wait(_rest(gaps, costs)):
            start = self._clock()
            frame = next(frames, None)
            if frame is None:
                return
            now = self._clock() / 1e9
            costs.append(now - start / 1e9)
            if begun is not None:
                gaps.append(frame.pts_seconds - last_seconds)
            last_seconds = frame.pts_seconds
            due = now if begun is None else begun + frame.pts_seconds
            if begun is None or now - due > _LATE_SECONDS:
                begun = now - frame.pts_seconds
            elif self._wait(due - now):
                return
            yield replace(frame, captured_ns=self._clock())

    def _wait(self, seconds: float) -> bool:
        return seconds > 0 and self._sleep(seconds)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._source.close()


def _rest(gaps: Collection[float], costs: Collection[float]) -> float:
    """Seconds from one frame to the decoding of the next: none where the interval may be too short for it."""
    if not gaps:
        return 0.0
    shortest = min(gaps)
    return min(shortest / 2, shortest - 2 * max(costs), _LONGEST_REST)
