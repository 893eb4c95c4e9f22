"""Live sources that stall, end, flap, hang, change and lie about time: the picture goes on and time stays true."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.backoff import Backoff
from rt_seg.realtime.capture import Capture
from rt_seg.realtime.frame import Frame, Span
from rt_seg.realtime.live_clock import LiveClock
from rt_seg.realtime.sources.selection import Selection
from rt_seg.realtime.sources.source import Source, SourceInfo
from rt_seg.realtime.statistics import Statistics
from rt_seg.realtime.upkeep import Upkeep

Step = Callable[[], object]


class Scripted:
    """A source that does what it is told: delivers frames of a size, calls functions between them, ends or fails."""

    def __init__(self, *steps: "int | Step | Exception", size: tuple[int, int] = (8, 6)) -> None:
        self.info = SourceInfo("camera 0", "camera", live=True, width=size[0], height=size[1], endless=True)
        self.closed = threading.Event()
        self._steps = steps
        self._size = size

    def __iter__(self) -> Iterator[Frame]:
        number = 0
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
                continue
            for _ in range(step):
                yield Frame(
                    number,
                    number / 25,
                    time.perf_counter_ns(),
                    np.full((self._size[1], self._size[0], 3), 99, np.uint8),
                )
                number += 1

    def close(self) -> None:
        self.closed.set()


class Receiver:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.stand_ins: list[Frame] = []
        self.signals: list[tuple[bool, str]] = []
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self.stood_in = threading.Event()
        self.came = threading.Condition()

    def take_frame(self, frame: Frame, span: Span) -> None:
        assert span.end_ns >= span.start_ns
        with self.came:
            self.frames.append(frame)
            self.came.notify_all()

    def take_stand_in(self, frame: Frame) -> None:
        with self.came:
            self.stand_ins.append(frame)
            self.came.notify_all()
        self.stood_in.set()

    def on_signal(self, present: bool, reason: str) -> None:
        self.signals.append((present, reason))

    def on_end(self, error: BaseException | None) -> None:
        self.error = error
        self.ended.set()

    def wait_for_frames(self, count: int) -> None:
        with self.came:
            assert self.came.wait_for(lambda: len(self.frames) >= count, 20)

    def wait_for_stand_ins(self, count: int) -> bool:
        with self.came:
            return self.came.wait_for(lambda: len(self.stand_ins) >= count, 20)


def at_once() -> Backoff:
    """Attempts without waits."""
    return Backoff(0.0, 0.0)


def live(first: Source, *others: Source | Exception, **upkeep: object) -> tuple[Capture, Receiver]:
    """A capture whose source is opened again as one of the others, in turn; an error stands for a failed attempt."""
    following = iter(others)

    def reopen() -> Source:
        source = next(following, None)
        if source is None:
            raise SourceError("camera 0: cannot be opened")
        if isinstance(source, Exception):
            raise source
        return source

    receiver = Receiver()
    settings: dict[str, Any] = {"reopen": reopen, "signal_timeout": 5.0, "reconnect": 0, "backoff": at_once, **upkeep}
    capture = Capture(first, receiver, Statistics(), Upkeep(**settings))
    return capture, receiver


def run(capture: Capture, receiver: Receiver) -> None:
    """Run it to its end."""
    capture.start()
    assert receiver.ended.wait(20), "the capture did not end"
    capture.stop()
    assert capture.join(5)


def test_a_source_that_flaps_ten_times_is_one_stream() -> None:
    """Ten connections that break off are opened again: frames are numbered through, time never goes back."""
    broken = SourceInterrupted("camera 0: stopped delivering")
    capture, receiver = live(*[Scripted(3, broken) for _ in range(11)], reconnect=20, selection=Selection(limit=33))
    run(capture, receiver)
    assert receiver.error is None
    assert [frame.index for frame in receiver.frames] == list(range(33))
    assert all(one.pts_seconds <= other.pts_seconds for one, other in pairwise(receiver.frames))
    assert [present for present, _ in receiver.signals] == [False, True] * 10
    assert len(receiver.stand_ins) >= 10


def test_attempts_are_counted_and_their_end_is_an_error() -> None:
    """After N attempts in a row the stream ends, and the error says why and how often it was tried."""
    capture, receiver = live(Scripted(2, SourceInterrupted("camera 0: stopped delivering")), reconnect=3)
    run(capture, receiver)
    assert isinstance(receiver.error, SourceInterrupted)
    assert str(receiver.error) == "camera 0: cannot be opened (given up after 3 attempts to reconnect)"
    assert len(receiver.frames) == 2


def test_an_end_that_the_sender_announces_is_a_loss_too() -> None:
    """A camera does not end: the stream is opened again until what was wanted is there."""
    capture, receiver = live(Scripted(2), Scripted(5), reconnect=1, selection=Selection(limit=4))
    run(capture, receiver)
    assert receiver.error is None
    assert len(receiver.frames) == 4
    assert receiver.signals == [(False, "the sender ended the stream"), (True, "")]


def test_a_stall_is_no_signal_and_its_end_is_signal() -> None:
    """Without a picture for the time-out a black one of the same size stands in; the same connection may come back."""
    go_on = threading.Event()
    source = Scripted(2, lambda: go_on.wait(20), 2)
    capture, receiver = live(source, signal_timeout=0.05, selection=Selection(limit=4))
    capture.start()
    assert receiver.stood_in.wait(20)
    assert receiver.signals == [(False, "no picture for 0.05 s")]
    assert (receiver.stand_ins[0].width, receiver.stand_ins[0].height) == (8, 6)
    assert not receiver.stand_ins[0].image.any()
    go_on.set()
    assert receiver.ended.wait(20)
    assert receiver.signals[-1] == (True, "")
    # the gap lasted: what comes after it is not stamped as if nothing had been
    assert receiver.frames[2].pts_seconds >= receiver.stand_ins[-1].pts_seconds >= receiver.frames[1].pts_seconds
    capture.stop()


class Asleep(threading.Event):
    """An event that says when somebody began to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_for.set()
        return super().wait(timeout)


def test_stand_ins_follow_one_another_however_the_signal_was_lost() -> None:
    """A connection breaks off while the watch sleeps: the picture goes on, long before a stall would be noticed."""
    stopped = Asleep()
    broken = Scripted(1, lambda: stopped.waited_for.wait(20), SourceInterrupted("gone"))
    waits = Backoff(3600.0, 3600.0)
    capture, receiver = live(broken, signal_timeout=3600.0, reconnect=None, backoff=lambda: waits, stopped=stopped)
    capture.start()
    came = receiver.wait_for_stand_ins(3)
    capture.stop()
    assert came
    assert receiver.ended.wait(5)
    times = [frame.pts_seconds for frame in receiver.stand_ins]
    assert all(one < other for one, other in pairwise(times))


def test_a_reader_that_hangs_is_left_behind_and_adds_nothing() -> None:
    """A call that never returns is given up; another thread opens anew; what the first brings later is not taken."""
    release = threading.Event()
    hung = Scripted(2, lambda: release.wait(30), 50)
    again = Scripted(3)
    capture, receiver = live(
        hung, again, signal_timeout=0.05, hung_seconds=0.1, reconnect=1, selection=Selection(limit=5)
    )
    run(capture, receiver)
    release.set()
    assert hung.closed.wait(20)
    assert len(receiver.frames) == 5
    assert [frame.index for frame in receiver.frames] == list(range(5))


def test_stop_does_not_wait_for_a_hung_source() -> None:
    """Asked to end inside a call that hangs, the end comes at once and is no error."""
    release, inside = threading.Event(), threading.Event()

    def hang() -> None:
        inside.set()
        release.wait(30)

    capture, receiver = live(Scripted(1, hang))
    capture.start()
    assert inside.wait(20)
    capture.stop()
    assert receiver.ended.wait(5)
    assert receiver.error is None
    assert capture.alive
    release.set()
    assert capture.join(20)


def test_stop_ends_the_wait_before_an_attempt() -> None:
    """During the wait of an hour before the next attempt, the end is not an hour away."""
    broken = Scripted(1, SourceInterrupted("gone"))
    capture, receiver = live(broken, reconnect=None, backoff=lambda: Backoff(3600.0, 3600.0))
    capture.start()
    assert broken.closed.wait(20)
    assert receiver.stood_in.wait(20)
    capture.stop()
    assert receiver.ended.wait(5)
    assert capture.join(5)
    assert receiver.error is None


def test_a_defect_is_not_taken_for_a_loss() -> None:
    """What is none of our errors ends the stream: opening again would hide it."""
    capture, receiver = live(Scripted(1, ValueError("a defect")), Scripted(5), reconnect=5)
    run(capture, receiver)
    assert isinstance(receiver.error, ValueError)


def test_stand_ins_take_the_size_of_the_last_picture() -> None:
    """A source that comes back in another size is shown in it, and stood in for in it."""
    broken = SourceInterrupted("gone")
    capture, receiver = live(
        Scripted(1, broken), Scripted(1, broken, size=(16, 12)), Scripted(1), reconnect=3, selection=Selection(limit=3)
    )
    run(capture, receiver)
    assert [(frame.width, frame.height) for frame in receiver.frames] == [(8, 6), (16, 12), (8, 6)]
    assert [(frame.width, frame.height) for frame in receiver.stand_ins][:2] == [(8, 6), (16, 12)]


def test_a_duration_counts_through_a_gap() -> None:
    """--duration is time on the clock: it ends a stream whose source stays away."""
    release = threading.Event()
    capture, receiver = live(
        Scripted(1, lambda: release.wait(30)), signal_timeout=0.02, selection=Selection(duration=0.3)
    )
    capture.start()
    assert receiver.ended.wait(20)
    assert receiver.error is None
    assert receiver.stand_ins[-1].pts_seconds < 0.3
    release.set()
    capture.stop()


def placed(*frames: tuple[float, float]) -> list[float]:
    """Stream times of frames given as (what the source says, when it came), both in seconds."""
    clock = LiveClock()
    return [clock.place(seconds, round(came * 1e9)) for seconds, came in frames]


def test_the_sources_timestamps_count_while_they_go_with_the_clock() -> None:
    """Arrival jitters, the distance of frames does not."""
    assert placed((0.0, 7.0), (0.04, 7.06), (0.08, 7.07), (0.12, 7.2)) == pytest.approx([0.0, 0.04, 0.08, 0.12])


@pytest.mark.parametrize("jump", [-1000.0, -0.9, 0.9, 1e6])
def test_a_jump_of_the_timestamps_is_none_of_the_stream(jump: float) -> None:
    """A sender's clock that is set forward or back: frames stay where the wall clock is, and in order."""
    times = placed((0.0, 0.0), (1.0, 1.0), (1.04 + jump, 1.04), (1.08 + jump, 1.08), (1.12 + jump, 1.12))
    assert times == pytest.approx([0.0, 1.0, 1.04, 1.08, 1.12])


def test_a_burst_after_a_stall_does_not_run_ahead() -> None:
    """What queued up on the way comes at once; the recording does not get longer by it."""
    stalled = [(0.1 * number, 0.1 * number) for number in range(5)]
    burst = [(0.5 + 0.1 * number, 3.5 + 0.001 * number) for number in range(30)]
    after = [(3.5 + 0.1 * number, 3.5 + 0.1 * number) for number in range(1, 10)]
    times = placed(*stalled, *burst, *after)
    assert all(one <= other for one, other in pairwise(times))
    assert times[-1] == pytest.approx(4.4, abs=0.51)


def test_waits_double_up_to_a_longest_and_are_spread() -> None:
    """Half a second, one, two: never longer than asked for, and at most halved by chance."""
    plain = Backoff(0.5, 3.0, jitter=lambda: 0.0)
    assert [plain.next_wait() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    plain.reset()
    assert plain.next_wait() == 0.5
    spread = Backoff(1.0, 3.0, jitter=lambda: 1.0)
    assert [spread.next_wait() for _ in range(3)] == [0.5, 1.0, 1.5]
