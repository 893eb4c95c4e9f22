"""What is asked of Python while a live stream runs, and given back afterwards."""

import gc
import sys

import pytest

from rt_seg.realtime.interpreter import quick_switches, short_collections


def test_what_is_there_already_is_not_looked_through_again_and_again() -> None:
    """While live it is out of the collector's rounds, what comes then is not; afterwards all is as before."""
    with short_collections(True):
        assert gc.get_freeze_count() > 1000
        circle: list[object] = []
        circle.append(circle)
        del circle
        assert gc.collect() > 0
    assert gc.get_freeze_count() == 0


def test_what_the_caller_froze_stays_frozen() -> None:
    """A program that froze its own objects before it forks finds them as it left them; without need nothing is done."""
    with short_collections(False):
        assert gc.get_freeze_count() == 0
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        with short_collections(True):
            assert gc.get_freeze_count() == before
        assert gc.get_freeze_count() == before
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("wanted", [True, False])
def test_the_switch_interval_is_given_back(wanted: bool) -> None:
    """Shorter while a live stream runs, the caller's own afterwards."""
    before = sys.getswitchinterval()
    with quick_switches(wanted):
        assert (sys.getswitchinterval() < before) == wanted
    assert sys.getswitchinterval() == before
