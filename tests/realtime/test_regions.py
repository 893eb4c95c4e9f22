"""Regions: polyps, the full-size mask and smooth outlines agree with each other and with the truth."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.realtime.frame import Frame, Segmentation
from rt_seg.realtime.regions import contours, find_polyps, frame_mask, without_specks

UInt8Array = npt.NDArray[np.uint8]
WHOLE = Geometry(1920, 1080, Box.of_size(1920, 1080), 256, 256)
REGION = Geometry(1920, 1080, Box(401, 37, 1023, 1001), 256, 256)


def blob(*circles: tuple[int, int, int], blur: float = 2.0) -> UInt8Array:
    """A probability with soft circles: (x, y, radius) in a picture of 256x256."""
    image = np.zeros((256, 256), np.uint8)
    for x, y, radius in circles:
        cv2.circle(image, (x, y), radius, 255, -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), blur) if blur else image, np.uint8)


def segmentation(probability: UInt8Array, geometry: Geometry = WHOLE, threshold: int = 128) -> Segmentation:
    """What the engine would have said."""
    image = np.zeros((geometry.frame_height, geometry.frame_width, 3), np.uint8)
    polyps = find_polyps(probability, geometry, threshold)
    return Segmentation(Frame(0, 0.0, 0, image), probability, geometry, threshold, polyps, {})


def drawn(outlines: list[npt.NDArray[np.float32]], geometry: Geometry) -> UInt8Array:
    """The outlines, filled, at the frame's size."""
    mask = np.zeros((geometry.frame_height, geometry.frame_width), np.uint8)
    points = [np.rint((outline - 0.5) * 16).astype(np.int32) for outline in outlines]
    cv2.fillPoly(mask, points, 255, cv2.LINE_8, 4)
    return mask


def iou(one: UInt8Array, other: UInt8Array) -> float:
    """Intersection over union of two masks."""
    return float(((one > 0) & (other > 0)).sum() / ((one > 0) | (other > 0)).sum())


def test_nothing_is_found_in_nothing() -> None:
    """An empty probability has no polyps, an empty mask and no outlines."""
    empty = segmentation(np.zeros((256, 256), np.uint8))
    assert empty.polyps == ()
    assert not frame_mask(empty).any()
    assert contours(empty) == []


def test_polyps_are_listed_largest_first_in_frame_pixels() -> None:
    """Boxes, areas and shares are the frame's, whatever the model's size."""
    found = segmentation(blob((60, 60, 10), (180, 150, 30), blur=0), REGION).polyps
    assert [polyp.box for polyp in found] == [
        REGION.box_to_frame(Box(150, 120, 61, 61)),
        REGION.box_to_frame(Box(50, 50, 21, 21)),
    ]
    circle = np.pi * 30**2 * REGION.scale_x * REGION.scale_y
    assert found[0].area_px == pytest.approx(circle, rel=0.03)
    assert found[0].area_fraction == found[0].area_px / (1920 * 1080)


@pytest.mark.parametrize("threshold", [60, 100, 140])
def test_boxes_and_areas_are_those_of_the_mask(threshold: int) -> None:
    """Who checks the results against the masks finds the same polyps, small ones and cut ones too."""
    for shape in (blob((100, 90, 30), blur=9), blob((60, 60, 6), blur=3), blob((0, 128, 20), blur=7)):
        seen = segmentation(shape, REGION, threshold)
        (polyp,) = seen.polyps
        mask = frame_mask(seen)
        x, y, width, height = cv2.boundingRect(mask)
        assert polyp.area_px == pytest.approx(np.count_nonzero(mask), rel=0.03)
        mine, his = (polyp.box.x, polyp.box.y, polyp.box.right, polyp.box.bottom), (x, y, x + width, y + height)
        assert max(abs(one - other) for one, other in zip(mine, his, strict=True)) <= 3


def test_confidence_is_the_mean_probability_of_the_region_alone() -> None:
    """Neither the background in the box nor another region in it counts."""
    probability = np.zeros((256, 256), np.uint8)
    probability[50:100, 50:54] = 204  # an L of 0.8 ...
    probability[96:100, 50:100] = 204
    probability[60:70, 80:90] = 255  # ... with a certain square inside its box
    found = find_polyps(probability, WHOLE, 128)
    assert [polyp.confidence for polyp in found] == pytest.approx([0.8, 1.0])


def test_threshold_is_inclusive() -> None:
    """A pixel of exactly the threshold is polyp; one level less is not."""
    probability = np.full((256, 256), 99, np.uint8)
    assert find_polyps(probability, WHOLE, 100) == ()
    assert find_polyps(probability, WHOLE, 99)[0].area_px == 1920 * 1080
    assert frame_mask(segmentation(probability, threshold=99)).all()


def test_specks_are_left_out_everywhere() -> None:
    """Twelve pixels of 256x256 are a speck, fourteen are a polyp: for polyps, mask and outlines alike."""
    speck = np.zeros((256, 256), np.uint8)
    speck[10:14, 10:13] = 255
    assert find_polyps(speck, WHOLE, 128) == ()
    seen = segmentation(np.maximum(blob((128, 128, 40)), speck))
    assert len(seen.polyps) == 1
    assert len(contours(seen)) == 1
    assert not frame_mask(seen)[:200, :200].any()
    speck[14, 10:12] = 255
    seen = segmentation(np.maximum(blob((128, 128, 40)), speck))
    assert len(seen.polyps) == 2
    assert len(contours(seen)) == 2
    assert frame_mask(seen)[:200, :200].any()


def test_without_specks_keeps_the_rest_as_it_is() -> None:
    """Only specks change, to just below the threshold; the input is not written to."""
    probability = blob((128, 128, 40))
    probability[3, 3] = 255
    before = probability.copy()
    cleaned = without_specks(probability, 128)
    assert cleaned[3, 3] == 127
    cleaned[3, 3] = 255
    assert (cleaned == before).all()
    assert (probability == before).all()


def test_frame_mask_is_zero_outside_the_region() -> None:
    """A mask that fills the model's picture fills the region, and not a pixel more."""
    mask = frame_mask(segmentation(np.full((256, 256), 255, np.uint8), REGION))
    assert mask.shape == (1080, 1920)
    assert mask[REGION.region.slices].all()
    assert np.count_nonzero(mask) == REGION.region.area


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (3840, 2160), (351, 287)])
@pytest.mark.parametrize("tensor", [64, 256, 512])
def test_outlines_mask_and_truth_agree(size: tuple[int, int], tensor: int) -> None:
    """An ellipse of the frame comes back as itself, from mask and from outline, at any size."""
    width, height = size
    region = Box(width // 8, height // 10, width * 3 // 4, height * 4 // 5)
    geometry = Geometry(width, height, region, tensor, tensor)
    truth = np.zeros((height, width), np.uint8)
    centre, axes = (width // 2, height // 2), (width // 5, height // 6)
    cv2.ellipse(truth, centre, axes, 20, 0, 360, 255, -1)
    probability = cv2.resize(truth[region.slices], (tensor, tensor), interpolation=cv2.INTER_AREA)
    seen = segmentation(np.asarray(probability, np.uint8), geometry)
    assert len(seen.polyps) == 1
    tolerance = 0.95 if tensor == 64 else 0.98
    assert iou(frame_mask(seen), truth) > tolerance
    assert iou(drawn(contours(seen), geometry), truth) > tolerance
    assert seen.polyps[0].area_px == pytest.approx(np.count_nonzero(truth), rel=0.04)


def test_outlines_are_smooth_at_1080p() -> None:
    """No corner of the small grid shows: the outline of a circle turns by small angles only."""
    (outline,) = contours(segmentation(blob((128, 128, 40))))
    steps = np.diff(outline, axis=0, append=outline[:1])
    angles = np.unwrap(np.arctan2(steps[:, 1] / WHOLE.scale_y, steps[:, 0] / WHOLE.scale_x))
    assert 20 < len(outline) < 120
    assert np.degrees(np.abs(np.diff(angles)).max()) < 25


def test_a_thin_line_at_the_threshold_has_no_outline() -> None:
    """A polyp of single pixels in a row, just at the threshold, is too thin to be drawn, and is no error."""
    probability = np.zeros((256, 256), np.uint8)
    for step in range(40):
        probability[50 + step, 60 + step] = 128
    thin = segmentation(probability)
    assert len(thin.polyps) == 1
    assert contours(thin) == []


def test_large_holes_are_outlined_and_pinholes_are_not() -> None:
    """A ring has two outlines, a disc with a dead pixel one."""
    ring = blob((128, 128, 60), blur=0)
    cv2.circle(ring, (128, 128), 30, 0, -1)
    assert len(contours(segmentation(ring))) == 2
    dead = blob((128, 128, 60), blur=0)
    dead[128:131, 128:131] = 0
    assert len(contours(segmentation(dead))) == 1


def test_a_region_at_the_edge_is_outlined_within_the_field() -> None:
    """A polyp that the field of view cuts off is closed along the field's edge."""
    seen = segmentation(blob((0, 128, 40)), REGION)
    (outline,) = contours(seen)
    assert outline[:, 0].min() >= REGION.region.x
    assert outline[:, 0].min() < REGION.region.x + 2 * REGION.scale_x


@settings(deadline=None)
@given(x=st.integers(0, 255), y=st.integers(0, 255), radius=st.integers(0, 90), threshold=st.integers(1, 255))
def test_polyps_outlines_and_mask_come_together(x: int, y: int, radius: int, threshold: int) -> None:
    """Where there is a polyp there are a mask and an outline, and only there; boxes stay inside the region."""
    seen = segmentation(blob((x, y, radius)), REGION, threshold)
    assert bool(seen.polyps) == bool(contours(seen)) == bool(frame_mask(seen).any())
    for polyp in seen.polyps:
        assert polyp.box.x >= REGION.region.x
        assert polyp.box.right <= REGION.region.right
        assert polyp.box.y >= REGION.region.y
        assert polyp.box.bottom <= REGION.region.bottom
        assert threshold / 255 <= polyp.confidence + 1e-9 <= 1 + 1e-6
