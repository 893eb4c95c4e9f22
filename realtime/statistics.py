"""Times and rates of a running stream, in bounded memory."""

import threading
from dataclasses import dataclass
from typing import Any, cast

from hdrh.histogram import HdrHistogram

_LONGEST_US = 3_600_000_000  # an hour: longer stages are counted as that


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Distribution of a duration in milliseconds.

    A percentile p is given from 10 / (1 - p) samples on (p50: 20, p90: 100, p99: 1000) and None before: fewer samples
    say nothing about it.
    """

    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None
    count: int

    def as_dict(self) -> dict[str, float | None]:
        """The four figures by name, in milliseconds, rounded to the histogram's precision."""
        return {"p50": self.p50, "p90": self.p90, "p99": self.p99, "max": self.max}


class Distribution:
    """Histogram of durations with three significant digits (HdrHistogram). Thread-safe."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _LONGEST_US, 3)
        self._lock = threading.Lock()
        self._sum_ns = 0
        self._count = 0

    def add(self, nanoseconds: int) -> None:
        """Count one duration; below a microsecond counts as one."""
        with self._lock:
            self._sum_ns += nanoseconds
            self._count += 1
            self._histogram.record_value(min(max(nanoseconds // 1000, 1), _LONGEST_US))

    def percentiles(self) -> Percentiles:
        """What was counted so far."""
        with self._lock:
            count = self._count

            def at(percent: int) -> float | None:
                enough = count * (100 - percent) >= 1000
                return round(self._histogram.get_value_at_percentile(percent) / 1000, 3) if enough else None

            largest = round(self._histogram.get_max_value() / 1000, 3) if count else None
            return Percentiles(at(50), at(90), at(99), largest, count)

    def counts(self) -> dict[int, int]:
        """What the histogram holds: microseconds (three significant digits) -> how many durations."""
        with self._lock:
            steps = cast("Any", self._histogram).get_recorded_iterator()  # not annotated
            return {int(step.value_iterated_to): int(step.count_at_value_iterated_to) for step in steps}

    @property
    def sum_seconds(self) -> float:
        """All durations added up."""
        with self._lock:
            return self._sum_ns / 1e9


class Rate:
    """Events a second over n-1 intervals: n stamps enclose n-1 of them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first_ns = 0
        self._last_ns = 0
        self._count = 0

    def add(self, stamp_ns: int) -> None:
        """Count one event at a stamp of `time.perf_counter_ns`; stamps do not decrease."""
        with self._lock:
            if self._count == 0:
                self._first_ns = stamp_ns
            self._last_ns = stamp_ns
            self._count += 1

    @property
    def count(self) -> int:
        """Events so far."""
        return self._count

    @property
    def first_ns(self) -> int | None:
        """Stamp of the first event, or None before it."""
        return self._first_ns if self._count else None

    @property
    def per_second(self) -> float | None:
        """Mean rate, or None before the second event."""
        with self._lock:
            elapsed = self._last_ns - self._first_ns
            return (self._count - 1) * 1e9 / elapsed if elapsed > 0 else None


class Statistics:
    """All that a stream measures of itself: stage times, delays, rate. Thread-safe; `with_polyps` has one writer."""

    def __init__(self) -> None:
        self._stages: dict[str, Distribution] = {}
        self._lock = threading.Lock()
        self.video_delay = Distribution()
        self.annotation_delay = Distribution()
        self.shown = Rate()
        self.with_polyps = 0

    def add_stage(self, name: str, nanoseconds: int) -> None:
        """Count one frame's time in a stage."""
        self._stage(name).add(nanoseconds)

    def _stage(self, name: str) -> Distribution:
        with self._lock:
            return self._stages.setdefault(name, Distribution())

    @property
    def stages(self) -> dict[str, Distribution]:
        """Distributions by stage name, in the order in which stages first reported."""
        with self._lock:
            return dict(self._stages)
