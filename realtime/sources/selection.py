"""`Selection`: which part of a source is wanted (``--start``, ``--duration``, ``--limit``)."""

import math
from dataclasses import dataclass

from rt_seg.errors import InputError

_EPSILON = 1e-6  # seconds; 0.04 * 3 is not quite 0.12


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a source.

    Attributes:
        start: Stream time in seconds; the first frame is the first one at or after it.
        duration: Seconds from `start`; frames at or after its end are left out. None: to the end.
        limit: Frames at most. None: all.
    """

    start: float = 0.0
    duration: float | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: A value selects nothing whatever the source.
        """
        if not (math.isfinite(self.start) and self.start >= 0):
            raise InputError(f"start is {self.start:g} s; it must be finite and 0 or more")
        if self.duration is not None and not (math.isfinite(self.duration) and self.duration > 0):
            raise InputError(f"duration is {self.duration:g} s; it must be finite and above 0")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit is {self.limit} frames; it must be at least 1")

    def allows(self, delivered: int) -> bool:
        """Whether one more frame may follow so many."""
        return self.limit is None or delivered < self.limit

    def reached(self, seconds: float) -> bool:
        """Whether a stream time is at or after the start."""
        return seconds >= self.start - _EPSILON

    def ends_before(self, seconds: float) -> bool:
        """Whether a stream time lies at or after the end."""
        return self.duration is not None and seconds >= self.start + self.duration - _EPSILON

    @property
    def emptiness(self) -> str:
        """What to say where no frame lies between start and end."""
        end = self.start + (self.duration or 0.0)
        return f"no frame is shown from {self.start:g} s to {end:g} s; choose a longer duration"

    def expected_frames(self, total: int | None, fps: float | None) -> int | None:
        """Estimate how many frames are selected.

        Args:
            total: Frames of the whole source, if known.
            fps: Mean frames a second, if known.
        """
        counts = [] if self.limit is None else [self.limit]
        if self.duration is not None and fps:
            counts.append(math.ceil(self.duration * fps - _EPSILON))
        if total is not None:
            counts.append(max(total - math.ceil(self.start * (fps or 0.0) - _EPSILON), 1))
        return min(counts, default=None)
