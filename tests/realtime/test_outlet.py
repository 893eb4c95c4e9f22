"""`Outlet`: what it counts as lost."""

import numpy as np
import pytest

from rt_seg.errors import OutputError
from rt_seg.realtime.backoff import Backoff
from rt_seg.realtime.channel import Policy
from rt_seg.realtime.frame import Frame, Rendered
from rt_seg.realtime.outlet import CAPACITY, Outlet, Output
from rt_seg.realtime.sinks.files import TruncatedError
from rt_seg.realtime.sinks.sink import Sink
from rt_seg.realtime.state import Status
from rt_seg.realtime.statistics import Statistics


@pytest.mark.parametrize(("wanted", "lost"), [(False, 0), (True, 10)])
def test_only_what_was_wanted_is_lost(wanted: bool, lost: int) -> None:
    """While no recording is wanted, a full queue in front of it loses nothing that anybody misses."""
    frame = Frame(0, 0.0, 0, np.zeros((2, 2, 3), np.uint8))
    output = Output("record", None, None, lambda: wanted)
    outlet = Outlet(output, Policy.LATEST, Statistics(), Status(), on_error=lambda _error: None)
    for _ in range(CAPACITY + 10):
        outlet.put(Rendered(frame, frame.image, None, {}, 1))
    assert outlet.dropped == lost


class Failing:
    """A sink that takes some pictures and then no more, of which the last ones are cut off with the failure."""

    name, path, notes = "record", None, ()

    def __init__(self, takes: int, cut: int = 0) -> None:
        self._left = takes
        self._cut = cut

    def write(self, rendered: Rendered) -> None:
        del rendered
        self._left -= 1
        if self._left < 0:
            raise TruncatedError("the disk is full", self._cut)

    def close(self) -> None:
        """Nothing is left to do."""


def given(output: Output, policy: Policy, pictures: int) -> Outlet:
    """An outlet that was given so many pictures and has ended."""
    frame = Frame(0, 0.0, 0, np.zeros((2, 2, 3), np.uint8))
    outlet = Outlet(output, policy, Statistics(), Status(), on_error=lambda _error: None, backoff=Backoff(0.0, 0.0))
    for _ in range(pictures):
        outlet.put(Rendered(frame, frame.image, None, {}, 1))
    outlet.channel.close()
    outlet.thread.start()
    outlet.thread.join(20)
    return outlet


def test_a_picture_is_lost_once_however_often_a_sink_cannot_be_made() -> None:
    """Of four one is written: the others are lost with the failure, and with the two attempts to go on."""

    def remake() -> Sink:
        raise OutputError("the disk is full")

    assert given(Output("record", Failing(1), remake), Policy.LATEST, CAPACITY).missed == CAPACITY - 1


@pytest.mark.parametrize("policy", Policy)
def test_pictures_that_are_cut_off_again_are_lost(policy: Policy) -> None:
    """Two were taken, both are cut off when the third fails, and nobody takes the fourth: all four are lost."""
    assert given(Output("record", Failing(2, cut=2)), policy, CAPACITY).missed == CAPACITY
