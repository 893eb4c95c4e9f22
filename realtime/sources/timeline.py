"""`Timeline`: raw timestamps, missing or jumping ones included, to stream time that never decreases."""

from fractions import Fraction

# A jump back by less is one frame's wrong stamp; by more, the clock was set anew (videos joined end to end).
_RESTART_SECONDS = 1


class Timeline:
    """Maps the timestamps of one stream to seconds. Passive and not thread-safe.

    Args:
        time_base: Seconds of one tick.
        start_ticks: Timestamp of the container's start, which becomes 0.
        frame_seconds: How long a frame usually lasts; stands in where a timestamp is missing.
    """

    def __init__(self, time_base: Fraction, start_ticks: int, frame_seconds: float) -> None:
        self._time_base = time_base
        self._start = start_ticks
        self._frame_ticks = max(round(frame_seconds / time_base), 1)
        self._restart_ticks = _RESTART_SECONDS / time_base
        self._last: int | None = None

    @property
    def started(self) -> bool:
        """Whether a frame was placed."""
        return self._last is not None

    @property
    def next_seconds(self) -> float:
        """When the next frame is due: one frame after the last one."""
        return float(self._due * self._time_base)

    @property
    def _due(self) -> int:
        return 0 if self._last is None else self._last + self._frame_ticks

    def raw(self, seconds: float) -> int:
        """The stream's own timestamp at a stream time."""
        return round(seconds / self._time_base) + self._start

    def place(self, pts: int | None) -> float:
        """Stream time in seconds of the next frame in presentation order.

        Args:
            pts: Its timestamp in ticks, or None if the stream has none for it.
        """
        ticks = self._due if pts is None else max(pts - self._start, 0)
        if self._last is not None and ticks < self._last:
            if self._last - ticks > self._restart_ticks:
                self._start -= self._due - ticks
                ticks = self._due
            else:
                ticks = self._last
        self._last = ticks
        return float(ticks * self._time_base)
