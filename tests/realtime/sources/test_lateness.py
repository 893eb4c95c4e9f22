"""Lateness: pictures are left out where decoding is too slow, and only there."""

from rt_seg.realtime.sources.lateness import Lateness


def play(
    lateness: Lateness, frames: int, *, cost: float, pause: float = 0.0, start: float = 0.0, first: int = 0
) -> tuple[list[int], float]:
    """Read pictures of a sender at 25 a second that cost so long to decode; which were taken, and when it ended."""
    now, taken = start, list[int]()
    for number in range(first, first + frames):
        sent = number / 25 + pause
        there = max(now, sent)  # who is early waits
        lateness.note_read(now, there)
        now = there
        if not lateness.leaves_out(number / 25, now):
            taken.append(number)
            now += cost
    return taken, now


def test_who_keeps_up_leaves_nothing_out() -> None:
    """Up to nine tenths of the time may be work."""
    assert play(Lateness(), 500, cost=0.034)[0] == list(range(500))


def test_a_slow_reader_stays_close_to_the_sender() -> None:
    """At half the speed that is needed every second picture or so is left out, and the delay stays small."""
    lateness = Lateness()
    taken, now = play(lateness, 1000, cost=0.08)
    assert now - 1000 / 25 < 0.5
    assert 400 < len(taken) < 600
    assert lateness.take_left_out() <= 1000 - len(taken)
    assert lateness.take_left_out() == 0


def test_what_the_sender_delays_is_not_counted() -> None:
    """After a pause on the way all comes so much later, for good: nobody here is late."""
    lateness = Lateness()
    before, now = play(lateness, 100, cost=0.01)
    after, _ = play(lateness, 400, cost=0.01, pause=3.0, start=now, first=100)
    assert before == list(range(100))
    assert len(after) > 395


def test_data_that_come_in_a_burst_are_no_lateness() -> None:
    """A server that sends faster than time goes is read as fast as it sends."""
    lateness = Lateness()
    assert not any(lateness.leaves_out(number / 25, number / 1000) for number in range(2000))


def test_far_behind_nothing_is_decoded_before_the_next_key_frame() -> None:
    """Where pictures cost more than they last even when they are left out."""
    lateness, now = Lateness(), 0.0
    for number in range(200):
        lateness.note_read(now, now)
        lateness.leaves_out(number / 25, now)
        now += 0.08
    assert lateness.far_behind
    for number in range(400, 440):
        lateness.leaves_out(number / 25, now)
    assert not lateness.far_behind
