"""`PacedSource`: a file that plays at its own pace, as if a camera delivered it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from rt_seg.realtime.frame import Frame

from .source import Source, SourceInfo

_LATE_SECONDS = 0.25  # decoding that falls behind by more makes the clock wait: frames never come in a burst


class PacedSource:
    """Holds each frame back until it is due. Passive and not thread-safe: one thread iterates and closes.

    The next frame is decoded while the one before is current, and is captured when it is due: `Frame.captured_ns` is
    the moment at which a capture card would have had it complete.

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
        for frame in self._source:
            now = self._clock() / 1e9
            due = now if begun is None else begun + frame.pts_seconds
            if begun is None or now - due > _LATE_SECONDS:
                begun = now - frame.pts_seconds
            elif now < due and self._sleep(due - now):
                return
            yield replace(frame, captured_ns=self._clock())

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._source.close()
