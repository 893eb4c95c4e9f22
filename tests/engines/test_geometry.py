"""Geometry: points and boxes go from tensor to frame and back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_seg.engines import Box, Geometry

SIDE = st.integers(1, 4000)


@st.composite
def boxes_inside(draw: st.DrawFn, width: int, height: int) -> Box:
    """A box inside a picture of that size."""
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Box(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any frame, region and tensor size."""
    width, height = draw(SIDE), draw(SIDE)
    region = draw(boxes_inside(width, height))
    return Geometry(width, height, region, draw(st.integers(1, 600)), draw(st.integers(1, 600)))


@given(geometry=geometries(), x=st.floats(0, 1), y=st.floats(0, 1))
def test_points_round_trip(geometry: Geometry, x: float, y: float) -> None:
    """A point of the tensor comes back from the frame, and lies in the region."""
    point = (x * geometry.tensor_width, y * geometry.tensor_height)
    frame_x, frame_y = geometry.to_frame(*point)
    assert geometry.to_tensor(frame_x, frame_y) == pytest.approx(point, rel=1e-9, abs=1e-6)
    assert geometry.region.x - 1e-6 <= frame_x <= geometry.region.right + 1e-6
    assert geometry.region.y - 1e-6 <= frame_y <= geometry.region.bottom + 1e-6


@given(data=st.data(), geometry=geometries())
def test_a_box_in_the_frame_covers_and_hardly_exceeds(data: st.DataObject, geometry: Geometry) -> None:
    """The frame box holds all of the tensor box, less than a pixel more on each side, and stays in the region."""
    box = data.draw(boxes_inside(geometry.tensor_width, geometry.tensor_height))
    in_frame = geometry.box_to_frame(box)
    left, top = geometry.to_frame(box.x, box.y)
    right, bottom = geometry.to_frame(box.right, box.bottom)
    slack = 1e-5
    assert left - 1 - slack < in_frame.x <= left + slack
    assert top - 1 - slack < in_frame.y <= top + slack
    assert right - slack <= in_frame.right < right + 1 + slack
    assert bottom - slack <= in_frame.bottom < bottom + 1 + slack
    region = geometry.region
    assert region.x <= in_frame.x < in_frame.right <= region.right
    assert region.y <= in_frame.y < in_frame.bottom <= region.bottom


@given(geometry=geometries())
def test_the_whole_tensor_is_the_region(geometry: Geometry) -> None:
    """The tensor's full box maps to the region exactly: no pixel is lost or gained to rounding."""
    assert geometry.box_to_frame(Box.of_size(geometry.tensor_width, geometry.tensor_height)) == geometry.region


def test_known_values() -> None:
    """A 1920x1080 frame with a square region: twice 512 pixels of tensor scale by two, and the offset is added."""
    geometry = Geometry(1920, 1080, Box(600, 28, 1024, 1024), 512, 256)
    assert (geometry.scale_x, geometry.scale_y) == (2.0, 4.0)
    assert geometry.to_frame(0.5, 0.5) == (601.0, 30.0)
    assert geometry.box_to_frame(Box(10, 10, 5, 5)) == Box(620, 68, 10, 20)


@pytest.mark.parametrize("region", [Box(-1, 0, 5, 5), Box(0, 0, 11, 5), Box(8, 8, 3, 1), Box(20, 20, 1, 1)])
def test_refuses_a_region_outside_the_frame(region: Box) -> None:
    """The model can only see what the frame has."""
    with pytest.raises(ValueError, match="not inside"):
        Geometry(10, 10, region, 4, 4)


@given(
    x=st.integers(-50, 50), y=st.integers(-50, 50), size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    width=st.integers(1, 40), height=st.integers(1, 40),
)  # fmt: skip
def test_clipping_keeps_exactly_the_pixels_inside(
    x: int, y: int, size: tuple[int, int], width: int, height: int
) -> None:
    """A clipped box holds the pixels that box and picture share; None if there are none."""
    box = Box(x, y, *size)
    shared = len(set(range(x, box.right)) & set(range(width))) * len(set(range(y, box.bottom)) & set(range(height)))
    clipped = box.clipped_to(width, height)
    assert (0 if clipped is None else clipped.area) == shared
    if clipped is not None:
        assert clipped.clipped_to(width, height) == clipped
        assert math.prod(s.stop - s.start for s in clipped.slices) == clipped.area


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 5)])
def test_refuses_an_empty_box(width: int, height: int) -> None:
    """A box holds at least one pixel."""
    with pytest.raises(ValueError, match="at least 1x1"):
        Box(0, 0, width, height)
