"""A file that plays as a camera would, on a clock of the test's own."""

from collections.abc import Iterator

import numpy as np
import pytest

from rt_seg.realtime.frame import Frame
from rt_seg.realtime.sources.paced import PacedSource
from rt_seg.realtime.sources.source import SourceInfo


class Clock:
    """Time that passes only where somebody waits or works."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.waits: list[float] = []
        self.ends_at: float | None = None

    def now(self) -> int:
        return round(self.seconds * 1e9)

    def sleep(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.seconds += seconds
        return self.ends_at is not None and self.seconds > self.ends_at


class File:
    """Frames at given stream times, each of which takes some time to decode."""

    def __init__(self, clock: Clock, times: list[float], costs: list[float]) -> None:
        self.info = SourceInfo("clip.mp4", "video", live=False, width=4, height=4, fps=10.0)
        self.closed = False
        self.begun: list[float] = []
        self._clock, self._times, self._costs = clock, times, costs

    def __iter__(self) -> Iterator[Frame]:
        for index, (seconds, cost) in enumerate(zip(self._times, self._costs, strict=True)):
            self.begun.append(self._clock.seconds)
            self._clock.seconds += cost
            yield Frame(index, seconds, self._clock.now(), np.zeros((4, 4, 3), np.uint8))

    def close(self) -> None:
        self.closed = True


def captured(clock: Clock, times: list[float], costs: list[float]) -> list[float]:
    """Seconds from the first capture to each."""
    stamps = [frame.captured_ns / 1e9 for frame in PacedSource(File(clock, times, costs), clock.sleep, clock.now)]
    return [stamp - stamps[0] for stamp in stamps]


def test_frames_are_captured_when_they_are_due() -> None:
    """Whatever decoding takes, while it is less than there is, capture keeps the file's own time, uneven as it is."""
    times = [5.0, 5.1, 5.15, 5.5]
    assert captured(Clock(), times, [0.01, 0.03, 0.02, 0.2]) == pytest.approx([0.0, 0.1, 0.15, 0.5])


def test_slow_decoding_makes_the_clock_wait() -> None:
    """After a hiccup of a second the pace goes on; what was missed does not come in a burst."""
    times = [0.0, 0.1, 0.2, 0.3]
    assert captured(Clock(), times, [0.0, 1.0, 0.0, 0.0]) == pytest.approx([0.0, 1.0, 1.1, 1.2])


@pytest.mark.parametrize(
    ("interval", "cost", "rest"),
    [(0.02, 0.003, 0.01), (0.04, 0.003, 0.016), (0.04, 0.015, 0.01), (0.04, 0.03, 0.0)],
)
def test_decoding_begins_when_the_frame_before_has_been_drawn(interval: float, cost: float, rest: float) -> None:
    """It takes no core from a fresh frame: it rests for half of the interval or 16 ms, less where it needs the time."""
    clock = Clock()
    file = File(clock, [i * interval for i in range(5)], [cost] * 5)
    stamps = [frame.captured_ns / 1e9 for frame in PacedSource(file, clock.sleep, clock.now)]
    assert [begun - stamp for begun, stamp in zip(file.begun[2:], stamps[1:], strict=False)] == pytest.approx(
        [rest] * 3
    )
    assert [stamp - stamps[0] for stamp in stamps] == pytest.approx([i * interval for i in range(5)])


def test_a_short_interval_after_long_ones_is_kept() -> None:
    """A video of uneven pace: the rest before decoding is never so long that a frame that follows soon comes late."""
    times = [0.0, 0.5, 1.0, 1.02, 1.04, 1.54]
    assert captured(Clock(), times, [0.002] * 6) == pytest.approx(times)


def test_asked_to_end_it_does_not_decode_on() -> None:
    """The rest before decoding is cut short by the end, too."""
    clock = Clock()
    file = File(clock, [0.0, 0.1, 0.2, 0.3], [0.0] * 4)
    clock.ends_at = 100.105
    assert [frame.index for frame in PacedSource(file, clock.sleep, clock.now)] == [0, 1]
    assert len(file.begun) == 2


def test_the_end_is_not_waited_for() -> None:
    """Asked to end while it waits for a frame that is due in an hour, it delivers no more."""
    clock = Clock()
    clock.ends_at = 101.0
    assert captured(clock, [0.0, 3600.0, 3600.1], [0.0, 0.0, 0.0]) == [0.0]


def test_it_says_that_it_is_live_and_closes_the_file() -> None:
    """All that is known of the file stays, but frames come at their own pace."""
    file = File(Clock(), [], [])
    source = PacedSource(file, lambda _seconds: False)
    assert (source.info.live, source.info.fps, source.info.kind) == (True, 10.0, "video")
    source.close()
    assert file.closed
