"""Resize: the size asked for, no shift, no skipped pixels, masks that stay masks."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_seg.engines import Box, Geometry, resize_image, resize_mask
from rt_seg.engines.resize import probability_at_source
from rt_seg.engines.spec import Interpolation

SIDE = st.integers(1, 90)


@given(width=SIDE, height=SIDE, to_width=SIDE, to_height=SIDE)
def test_any_size_to_any_size(width: int, height: int, to_width: int, to_height: int) -> None:
    """Pictures and masks of any size come out in the size asked for; a flat one stays flat."""
    picture = np.full((height, width, 3), (10, 120, 250), np.uint8)
    for interpolation in get_args(Interpolation):
        resized = resize_image(picture, to_width, to_height, interpolation)
        assert resized.shape == (to_height, to_width, 3)
        assert (resized == (10, 120, 250)).all()
    mask = np.full((height, width), 255, np.uint8)
    assert (resize_mask(mask, to_width, to_height) == 255).all()
    assert (resize_mask(mask * np.uint8(0), to_width, to_height) == 0).all()


@pytest.mark.parametrize("interpolation", ["linear", "supersampled"])
def test_nothing_shifts(interpolation: Interpolation) -> None:
    """The centre of a square stays where it was, in relative coordinates."""
    picture = np.zeros((600, 800), np.uint8)
    picture[120:240, 400:560] = 255
    small = resize_image(picture, 256, 256, interpolation).astype(float)
    rows, columns = (np.arange(256) + 0.5) / 256, (np.arange(256) + 0.5) / 256
    assert (small.sum(1) @ rows) / small.sum() == pytest.approx(180 / 600, abs=1e-3)
    assert (small.sum(0) @ columns) / small.sum() == pytest.approx(480 / 800, abs=1e-3)


@pytest.mark.parametrize("height", [1080, 1200, 2160])
def test_tall_pictures_shift_by_less_than_a_row(height: int) -> None:
    """Leaving out rows of a tall picture moves nothing by more than a row of it, and every part of it still counts."""
    picture = np.zeros((height, 64), np.uint8)
    picture[height // 4 : height // 2] = 255
    small = resize_image(picture, 256, 256).astype(float)
    centre = (small.sum(1) @ (np.arange(256) + 0.5)) / small.sum() * height / 256
    assert centre == pytest.approx((height // 4 + height // 2) / 2, abs=1.0)
    assert small.mean() == pytest.approx(picture.mean(), rel=0.01)


def test_supersampling_uses_more_pixels_than_linear() -> None:
    """From 1080p to 256 it averages sensor noise away about twice as well: it looks at four times as many pixels."""
    noise = np.random.default_rng(0).normal(128, 20, (1080, 1920)).astype(np.uint8)
    linear, supersampled = resize_image(noise, 256, 256, "linear"), resize_image(noise, 256, 256, "supersampled")
    assert supersampled.std() < 0.6 * linear.std()


def test_views_with_strides_are_fine() -> None:
    """A region cut out of a frame is resized like its copy, and the frame stays as it was."""
    frame = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    kept = frame.copy()
    view = frame[20:250, 33:340]
    np.testing.assert_array_equal(resize_image(view, 64, 64), resize_image(view.copy(), 64, 64))
    np.testing.assert_array_equal(frame, kept)


def test_outside_the_region_nothing_is_found() -> None:
    """What the engine did not see has probability 0; inside, its answer is scaled to the region."""
    geometry = Geometry(100, 60, Box(20, 10, 40, 30), 8, 8)
    whole = probability_at_source(np.full((8, 8), 200, np.uint8), geometry)
    assert whole.shape == (60, 100)
    assert (whole[10:40, 20:60] == 200).all()
    assert np.count_nonzero(whole) == 40 * 30


def test_mask_keeps_its_area() -> None:
    """A disc keeps its share of the picture within a percent, smaller and larger, and only 0 and 255 come out."""
    rows, columns = np.ogrid[:480, :640]
    disc = np.where((rows - 200) ** 2 + (columns - 300) ** 2 < 120**2, np.uint8(255), np.uint8(0))
    for width, height in ((256, 256), (1920, 1080)):
        resized = resize_mask(disc, width, height)
        assert set(np.unique(resized)) == {0, 255}
        assert resized.mean() == pytest.approx(disc.mean(), rel=0.01)
