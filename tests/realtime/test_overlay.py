"""The overlay: draws where the polyp is, and nowhere else."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.realtime.frame import Frame, Segmentation
from rt_seg.realtime.overlay import CYAN, Overlay, Style, line_width
from rt_seg.realtime.regions import find_polyps, frame_mask

UInt8Array = npt.NDArray[np.uint8]
STYLES: list[Style] = ["contour", "fill", "heatmap"]


def scene(width: int = 1280, height: int = 720, *, circle: tuple[int, int, int] = (100, 140, 40)) -> Segmentation:
    """A reddish noisy picture with a soft round polyp in a field of view that does not fill the frame."""
    random = np.random.default_rng(7)
    image = random.integers(0, 60, (height, width, 3), dtype=np.uint8) + np.array([60, 80, 150], np.uint8)
    x, y, radius = circle
    probability = np.zeros((256, 256), np.uint8)
    cv2.circle(probability, (x, y), radius, 255, -1)
    probability = np.asarray(cv2.GaussianBlur(probability, (0, 0), 3), np.uint8)
    region = Box(width // 7, height // 9, width * 5 // 7, height * 7 // 9)
    geometry = Geometry(width, height, region, 256, 256)
    return Segmentation(
        Frame(0, 0.0, 0, image), probability, geometry, 128, find_polyps(probability, geometry, 128), {}
    )


def changed_by(overlay: Overlay, seen: Segmentation) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
    """The picture with the overlay, and where it differs from the frame's."""
    image = seen.frame.image.copy()
    overlay.draw(image, seen)
    return image, (image != seen.frame.image).any(axis=2)


def grown(mask: UInt8Array, pixels: int) -> npt.NDArray[np.bool_]:
    """The mask with a rim of that many pixels added (removed if negative)."""
    kernel = np.ones((2 * abs(pixels) + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(mask, kernel) if pixels > 0 else cv2.erode(mask, kernel)) > 0


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (1920, 1080), (3840, 2160), (641, 479)])
def test_contour_follows_the_edge_and_leaves_the_rest_alone(width: int, height: int) -> None:
    """Only a band around the mask's edge changes, all the way round; its width grows with the picture."""
    seen = scene(width, height)
    image, changed = changed_by(Overlay("contour"), seen)
    mask, reach = frame_mask(seen), 2 * line_width(image) + 2
    band = grown(mask, reach) & ~grown(mask, -reach)
    assert not (changed & ~band).any()
    edge = grown(mask, 1) & ~grown(mask, -1)
    assert (changed | ~edge).mean() > 0.999
    assert (image[changed] == CYAN).all(axis=1).mean() > 0.2
    assert line_width(image) == max(round(height / 300), 1)


def test_fill_changes_the_whole_polyp_and_nothing_beyond_its_line() -> None:
    """Inside, every pixel is the blend of picture and colour; outside the line, every pixel is the picture's."""
    seen = scene()
    image, changed = changed_by(Overlay("fill", alpha=0.5), seen)
    mask, reach = frame_mask(seen), 2 * line_width(image) + 2
    assert not (changed & ~grown(mask, reach)).any()
    inside = grown(mask, -reach)
    blend = 0.5 * seen.frame.image[inside] + 0.5 * np.array(CYAN)
    assert np.abs(image[inside] - blend).max() <= 1


def test_heatmap_changes_only_what_is_above_its_floor() -> None:
    """Where the probability is below 10 %, the picture is bit-identical; where it is high, it is coloured."""
    seen = scene()
    image, changed = changed_by(Overlay("heatmap"), seen)
    region = seen.geometry.region
    large = np.zeros(image.shape[:2], np.uint8)
    large[region.slices] = cv2.resize(seen.probability, (region.width, region.height), interpolation=cv2.INTER_CUBIC)
    # half a small pixel of leeway: the overlay enlarges the crop, this test the whole picture
    assert not (changed & ~grown((large > 20).astype(np.uint8), 3)).any()
    assert changed[large > 200].all()


@pytest.mark.parametrize("style", STYLES)
def test_without_a_polyp_nothing_is_drawn(style: Style) -> None:
    """An empty mask leaves the picture bit-identical."""
    _, changed = changed_by(Overlay(style), scene(circle=(-90, -90, 10)))
    assert not changed.any()


def test_style_none_draws_nothing() -> None:
    """The overlay can be switched off."""
    _, changed = changed_by(Overlay("none"), scene())
    assert not changed.any()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("circle", [(0, 0, 60), (255, 128, 30), (128, 255, 50), (128, 128, 250)])
def test_polyps_at_the_edge_are_drawn(style: Style, circle: tuple[int, int, int]) -> None:
    """Regions cut off by the frame or filling it draw without error, also where the field is the frame."""
    seen = scene(circle=circle)
    whole = Geometry(1280, 720, Box.of_size(1280, 720), 256, 256)
    polyps = find_polyps(seen.probability, whole, 128)
    _, changed = changed_by(Overlay(style), Segmentation(seen.frame, seen.probability, whole, 128, polyps, {}))
    assert changed.any()


@pytest.mark.parametrize("style", STYLES)
def test_size_may_change_between_frames(style: Style) -> None:
    """One overlay serves video that changes its size midway as a new one would."""
    overlay = Overlay(style)
    for seen in (scene(640, 480), scene(1920, 1080), scene(640, 480)):
        image, _ = changed_by(overlay, seen)
        fresh, _ = changed_by(Overlay(style), seen)
        assert (image == fresh).all()


def test_colour_can_be_chosen() -> None:
    """Line and tint take the given BGR colour."""
    image, changed = changed_by(Overlay("contour", colour=(0, 255, 0)), scene())
    assert (image[changed] == (0, 255, 0)).all(axis=1).any()


@pytest.mark.parametrize("wrong", [{"style": "rainbow"}, {"alpha": 1.5}, {"alpha": -0.1}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """A style that does not exist and an opacity out of range are programming errors."""
    with pytest.raises(ValueError, match="overlay"):
        Overlay(**wrong)
