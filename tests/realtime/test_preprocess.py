"""Preprocess: the right pixels, of the right size, with the way back."""

import cv2
import numpy as np
import pytest

from rt_seg.engines.field_of_view import Roi
from rt_seg.engines.geometry import Box
from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import InputError
from rt_seg.realtime.frame import Frame
from rt_seg.realtime.preprocess import Preprocess

SPEC = ModelSpec("tiny", 64, 48)


def bordered() -> Frame:
    """A still at (300, 60) of a black 1280x720 frame."""
    image = np.zeros((720, 1280, 3), np.uint8)
    still = cv2.resize(load_samples()[0].image, (800, 600))
    image[60:660, 300:1100] = np.maximum(still, 40)
    image.flags.writeable = False
    return Frame(0, 0.0, 0, image)


@pytest.mark.parametrize(
    ("roi", "region"), [("full", Box(0, 0, 1280, 720)), (Box(310, 70, 500, 301), Box(310, 70, 500, 301))]
)
def test_the_region_is_cut_and_resized(roi: Roi, region: Box) -> None:
    """The tensor is exactly the region through the one resize; the geometry says where it came from."""
    frame = bordered()
    prepared = Preprocess(SPEC, roi)(frame)
    assert prepared.frame is frame
    assert prepared.geometry.region == region
    assert (prepared.geometry.frame_width, prepared.geometry.frame_height) == (1280, 720)
    assert prepared.tensor.shape == (48, 64, 3)
    assert prepared.tensor.flags.c_contiguous
    assert (prepared.tensor == resize_image(frame.image[region.slices], 64, 48)).all()


def test_auto_takes_the_field_of_view() -> None:
    """Black borders are cut off."""
    region = Preprocess(SPEC)(bordered()).geometry.region
    assert abs(region.x - 300) < 14
    assert abs(region.right - 1100) < 14
    assert abs(region.y - 60) < 14
    assert abs(region.bottom - 660) < 14


def test_the_models_interpolation_is_used() -> None:
    """A model trained on plain bilinear pictures gets them."""
    frame = bordered()
    linear = Preprocess(ModelSpec("tiny", 64, 48, interpolation="linear"), "full")(frame).tensor
    assert (linear == resize_image(frame.image, 64, 48, "linear")).all()
    assert (linear != Preprocess(SPEC, "full")(frame).tensor).any()


def test_the_span_is_stamped() -> None:
    """The stage says when it began and ended."""
    span = Preprocess(SPEC)(bordered()).spans["preprocess"]
    assert 0 < span.start_ns < span.end_ns


def test_a_box_outside_the_frame_is_refused() -> None:
    """One line with the box, the frame's size and the remedy."""
    with pytest.raises(InputError, match=r"roi 800,0,600,720 is not inside the frame of 1280x720; give"):
        Preprocess(SPEC, Box(800, 0, 600, 720))(bordered())


def test_a_box_keeps_its_share_when_the_size_changes() -> None:
    """A recorder that changes its resolution shows the same picture: the box is where it was, and never outside."""
    box = Box(310, 70, 500, 301)
    preprocess = Preprocess(SPEC, box)
    assert preprocess(bordered()).geometry.region == box
    for width, height in ((640, 360), (1920, 1080), (2, 2)):
        frame = Frame(1, 0.04, 0, np.zeros((height, width, 3), np.uint8))
        region = preprocess(frame).geometry.region
        assert region.clipped_to(width, height) == region
        assert abs(region.x / width - box.x / 1280) <= 1 / width
        assert abs(region.bottom / height - box.bottom / 720) <= 1 / height
    assert preprocess(bordered()).geometry.region == box


def test_stills_are_judged_one_by_one_if_asked() -> None:
    """With `steady=False`, the field of one picture says nothing of the next."""
    preprocess = Preprocess(SPEC, steady=False)
    first = preprocess(bordered()).geometry.region
    moved = Frame(1, 1.0, 0, np.roll(bordered().image, -200, axis=1))
    second = preprocess(moved).geometry.region
    assert second.x == pytest.approx(first.x - 200, abs=14)
