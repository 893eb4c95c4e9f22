"""`HandOver`: what is measured there, and which pictures are compared when."""

import time

import numpy as np

from rt_seg.benchmarks.live_parts import HandOver
from rt_seg.realtime.frame import Frame, Rendered


def picture(*, touched: bool = False) -> Rendered:
    """A picture without a mask, captured now; touched: one of its pixels is not the input's."""
    now = time.perf_counter_ns()
    frame = Frame(0, 0.0, now, np.zeros((8, 8, 3), np.uint8))
    image = frame.image.copy()
    image[3, 3, 0] = touched
    return Rendered(frame, image, None, {}, now)


def test_pictures_are_compared_when_all_is_over() -> None:
    """Every second picture is compared, at the end and not while others wait to be measured."""
    hand_over = HandOver(2)
    for touched in (True, True, False, False):
        hand_over.write(picture(touched=touched))
    assert (hand_over.compared, hand_over.differing) == (0, 0)
    hand_over.close()
    assert (hand_over.compared, hand_over.differing) == (2, 1)
    assert len(hand_over.video_ms) == 4
    assert hand_over.annotation_ms == []


def test_long_runs_compare_at_once() -> None:
    """Where that is asked for no picture is kept."""
    hand_over = HandOver(3, at_once=True)
    for _ in range(3):
        hand_over.write(picture(touched=True))
    assert (hand_over.compared, hand_over.differing) == (1, 1)
