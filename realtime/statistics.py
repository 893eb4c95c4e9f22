"""Times and rates of a running stream, in bounded memory."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from hdrh.histogram import HdrHistogram

if TYPE_CHECKING:
    from .frame import Rendered

_FEWEST_EVENTS = 10
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


class RecentRate:
    """Events a second over the last few. Thread-safe.

    Args:
        span: How many events are looked back.
    """

    def __init__(self, span: int = 60) -> None:
        self._lock = threading.Lock()
        self._stamps: deque[int] = deque(maxlen=span)

    def add(self, stamp_ns: int) -> None:
        """Count one event at a stamp of `time.perf_counter_ns`."""
        with self._lock:
            self._stamps.append(stamp_ns)

    @property
    def per_second(self) -> float | None:
        """Mean rate over n-1 intervals, or None before the tenth event: two may come by chance in one breath."""
        with self._lock:
            if len(self._stamps) < _FEWEST_EVENTS:
                return None
            elapsed = self._stamps[-1] - self._stamps[0]
            return (len(self._stamps) - 1) * 1e9 / elapsed if elapsed > 0 else None


class Statistics:
    """All that a stream measures of itself: stage times, delays, rates. Thread-safe; each count has one writer.

    Attributes:
        video_delay: From the frame complete in memory to its hand-over.
        annotation_delay: The same for the frame that the shown mask was computed on, where a mask was shown.
        activation_delay: From the capture of the first frame that showed a sighting until its mask was there to be
            drawn: the annotation delay with what ``--min-frames`` adds.
        shown: Frames of the source that were handed over; its rate is over the whole run.
        recent: The same over the last moments.
        with_mask: Those with a current mask, be it empty.
        with_polyps: Those that show at least one polyp.
        states: How many of them each state was shown on.
        stand_ins: Pictures shown in place of missing ones.
        signal_losses: How often the signal was lost.
        reconnects: How often a live source was opened again.
        engine_failures: How often the engine left service.
        sightings: Polyps that were activated.
    """

    def __init__(self) -> None:
        self._stages: dict[str, Distribution] = {}
        self._lock = threading.Lock()
        self.video_delay = Distribution()
        self.annotation_delay = Distribution()
        self.activation_delay = Distribution()
        self.shown = Rate()
        self.recent = RecentRate()
        self.with_mask = 0
        self.with_polyps = 0
        self.states: Counter[str] = Counter()
        self.stand_ins = 0
        self.signal_losses = 0
        self.reconnects = 0
        self.engine_failures = 0
        self.sightings = 0

    def count_shown(self, rendered: "Rendered") -> None:
        """Count a picture that was handed to every sink; called by one thread."""
        if not rendered.signal:
            self.stand_ins += 1
            return
        self.shown.add(rendered.rendered_ns)
        self.recent.add(rendered.rendered_ns)
        self.states[rendered.state.value] += 1
        self.with_mask += rendered.segmentation is not None
        self.with_polyps += bool(rendered.segmentation is not None and rendered.segmentation.polyps)
        for stage in ("preprocess", "infer", "overlay"):
            span = rendered.spans.get(stage)
            if span is not None:
                self.add_stage(stage, span.end_ns - span.start_ns)

    def count_handed_over(self, rendered: "Rendered") -> None:
        """Count the delays of a picture that is handed over now."""
        now = time.perf_counter_ns()
        if rendered.signal:
            self.video_delay.add(now - rendered.frame.captured_ns)
            if rendered.segmentation is not None:
                self.annotation_delay.add(now - rendered.segmentation.frame.captured_ns)

    def add_stage(self, name: str, nanoseconds: int) -> None:
        """Count one frame's time in a stage."""
        self._stage(name).add(nanoseconds)

    def _stage(self, name: str) -> Distribution:
        with self._lock:
            stage = self._stages.get(name)
            if stage is None:  # not setdefault: it would make an empty histogram of 0.2 MB for every call
                stage = self._stages[name] = Distribution()
            return stage

    @property
    def stages(self) -> dict[str, Distribution]:
        """Distributions by stage name, in the order in which stages first reported."""
        with self._lock:
            return dict(self._stages)
