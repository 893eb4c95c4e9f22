"""Preparing and judging: what is wrong with the picture is said, whatever size the network wants."""

import cv2
import numpy as np
import pytest

from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.engines.spec import ModelSpec
from rt_seg.realtime.assess import Assess
from rt_seg.realtime.frame import Frame
from rt_seg.realtime.preprocess import Preprocess
from rt_seg.realtime.state import Status, StreamState

SHARP = resize_image(load_samples()[0].image, 640, 480)
BLURRED = np.asarray(cv2.GaussianBlur(SHARP, (0, 0), 13), np.uint8)


def said_of(image: np.ndarray, width: int, height: int) -> list[StreamState | None]:
    """What is said of 30 frames that differ by their noise, with a network for pictures of that size."""
    status = Status()
    assess = Assess(Preprocess(ModelSpec("any", width, height), "full"), status)
    said: list[StreamState | None] = []
    for number in range(30):
        noise = np.random.default_rng(number).normal(0, 2, image.shape)
        frame = Frame(number, number / 25, 0, np.clip(image + noise, 0, 255).astype(np.uint8))
        assert assess(frame).tensor.shape == (height, width, 3)
        said.append(status.picture)
    return said


@pytest.mark.parametrize(("width", "height"), [(64, 64), (256, 256), (320, 288)])
def test_blur_is_told_from_sharpness_for_any_network(width: int, height: int) -> None:
    """What a network for small pictures gets is never sharp: then the frame itself is judged."""
    assert set(said_of(SHARP, width, height)) == {None}
    assert said_of(BLURRED, width, height)[-1] is StreamState.BLURRED


def test_a_lost_signal_begins_anew() -> None:
    """What was said of the picture before a loss does not count for the one after it."""
    status = Status()
    assess = Assess(Preprocess(ModelSpec("any", 256, 256), "full"), status)
    black = np.zeros((480, 640, 3), np.uint8)
    for number in range(30):
        assess(Frame(number, number / 25, 0, black))
    assert status.picture is StreamState.BLACK
    status.lose()
    assess(Frame(30, 30 / 25, 0, SHARP))
    assert status.picture is None
