"""`LiveClock`: stream time of a live source, held to the wall clock over gaps, jumps and reconnections."""

_TOLERANCE_SECONDS = 0.5  # what buffers on the way may add or take; a second encoder's clock never starts that close
_NANOSECONDS = 1e9


class LiveClock:
    """Places frames on one time line that begins with the first frame. Passive and not thread-safe.

    The source's own timestamps count as long as they go with the wall clock: they know the distance between frames
    better than their arrival does. Where they leave it (a new connection counts from 0 again, a sender's clock was set,
    a timestamp is damaged) the frame is put where the wall clock is, and later ones follow from there. So a recording
    lasts as long as what it shows.
    """

    def __init__(self) -> None:
        self._first_ns = 0
        self._first_seconds = 0.0
        self._offset = 0.0
        self._last: float | None = None

    @property
    def seconds(self) -> float:
        """Stream time of the newest picture; 0 before the first."""
        return self._last or 0.0

    def place(self, seconds: float, captured_ns: int) -> float:
        """Stream time of the next frame.

        Args:
            seconds: What its source says.
            captured_ns: When it was captured, by `time.perf_counter_ns`.

        Returns:
            Seconds that never decrease.
        """
        if self._last is None:
            self._first_ns, self._first_seconds = captured_ns, seconds
            self._last = seconds
            return seconds
        now = self._at(captured_ns)
        if abs(seconds + self._offset - now) > _TOLERANCE_SECONDS:
            self._offset = now - seconds
        self._last = max(seconds + self._offset, self._last)
        return self._last

    def place_stand_in(self, stamp_ns: int) -> float:
        """Stream time of a picture that stands in for a missing one at a stamp of `time.perf_counter_ns`."""
        if self._last is None:
            return self.place(0.0, stamp_ns)
        self._last = max(self._at(stamp_ns), self._last)
        return self._last

    def _at(self, stamp_ns: int) -> float:
        """Stream time by the wall clock."""
        return self._first_seconds + (stamp_ns - self._first_ns) / _NANOSECONDS
