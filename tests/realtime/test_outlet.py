"""`Outlet`: what it counts as lost."""

import numpy as np
import pytest

from rt_seg.realtime.channel import Policy
from rt_seg.realtime.frame import Frame, Rendered
from rt_seg.realtime.outlet import CAPACITY, Outlet, Output
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
