"""Timestamps to stream time: exact, never decreasing, whatever the container says."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_seg.realtime.sources.timeline import Timeline

TIME_BASE = Fraction(1, 90_000)
STAMPS = st.lists(st.one_of(st.none(), st.integers(-(10**7), 10**7)), max_size=60)


def timeline(start: int = 0) -> Timeline:
    """A stream of 25 frames a second on MPEG's clock."""
    return Timeline(TIME_BASE, start, 1 / 25)


@given(stamps=STAMPS, start=st.integers(-(10**6), 10**6))
def test_time_never_decreases_and_stays_on_the_ticks(stamps: list[int | None], start: int) -> None:
    """Missing, equal and backward stamps included; each time is a whole number of ticks, none below 0."""
    line = timeline(start)
    times = [line.place(pts) for pts in stamps]
    assert times == sorted(times)
    assert all(time >= 0 for time in times)
    assert all(float(round(time / TIME_BASE) * TIME_BASE) == time for time in times)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60).map(sorted), st.integers(-(10**6), 10**6))
def test_good_stamps_are_kept(stamps: list[int], start: int) -> None:
    """Ascending stamps become exactly their distance from the start."""
    line = timeline(start)
    assert [line.place(start + pts) for pts in stamps] == [float(pts * TIME_BASE) for pts in stamps]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([None, None, None], [0, 3600, 7200]),  # missing: at the usual pace
        ([0, None, 7200], [0, 3600, 7200]),
        ([0, 7200, 3600, 10_800], [0, 7200, 7200, 10_800]),  # one stamp wrong: the others keep theirs
        ([900_000, 903_600, 0, 3600], [900_000, 903_600, 907_200, 910_800]),  # the clock set anew: on from there
    ],
)
def test_repairs(stamps: list[int | None], expected: list[int]) -> None:
    """How each fault is mended."""
    line = timeline()
    assert [line.place(pts) for pts in stamps] == [float(ticks * TIME_BASE) for ticks in expected]


def test_the_next_frame_is_due_one_frame_later() -> None:
    """Used to say where a file breaks off."""
    line = timeline(start=100)
    assert (line.started, line.next_seconds) == (False, 0.0)
    line.place(100 + 9000)
    assert (line.started, line.next_seconds) == (True, 0.14)
    assert line.raw(0.1) == 9100
