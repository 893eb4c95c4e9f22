"""Motion of the whole picture: found where there is one, off where it does not help."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rt_seg.engines.geometry import Box
from rt_seg.engines.samples import load_samples
from rt_seg.realtime.motion import GREY_SIDE, GlobalMotion, Motion, small_grey

UInt8Array = npt.NDArray[np.uint8]
STILL = load_samples()[0].image[100:400, 150:500]


def moved(image: UInt8Array, x: float, y: float, degrees: float = 0.0, zoom: float = 1.0) -> UInt8Array:
    """The picture after a camera's move, by shares of its size."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, zoom)
    matrix[:, 2] += x * width, y * height
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def disc(x: float, y: float, side: int = 256) -> UInt8Array:
    """A mask with a disc at that share of the picture."""
    mask = np.zeros((side, side), np.uint8)
    cv2.circle(mask, (round(x * side), round(y * side)), side // 8, 255, -1)
    return mask


@pytest.mark.parametrize(("x", "y"), [(0.03, 0.0), (-0.05, 0.04), (0.0, -0.12)])
def test_a_shift_is_found(x: float, y: float) -> None:
    """The picture's shift comes back within a third of a percent of its size."""
    motion = GlobalMotion().estimate(small_grey(STILL), small_grey(moved(STILL, x, y)))
    assert motion.confidence > 0.3
    assert motion.shift == pytest.approx((x, y), abs=0.003)


def test_a_mask_moves_with_rotation_and_zoom() -> None:
    """A disc carried over lies on the disc that the camera shows after it turned and came closer."""
    image = cv2.resize(STILL, (256, 256), interpolation=cv2.INTER_AREA).astype(np.uint8)
    mask = disc(0.7, 0.35)
    motion = GlobalMotion().estimate(small_grey(image), small_grey(moved(image, 0.03, 0.02, 6, 1.1)))
    truth = moved(mask, 0.03, 0.02, 6, 1.1) > 127
    carried = motion.warp(mask) > 127
    assert (truth & carried).sum() / (truth | carried).sum() > 0.93
    assert ((mask > 127) & truth).sum() / ((mask > 127) | truth).sum() < 0.7


def test_the_same_picture_does_not_move() -> None:
    """Nothing moved: the mask itself comes back, uncopied, and the pictures are alike."""
    grey, mask = small_grey(STILL), disc(0.5, 0.5)
    motion = GlobalMotion().estimate(grey, grey)
    assert motion.confidence == 0.0
    assert motion.warp(mask) is mask
    assert motion.likeness == pytest.approx(1.0)


def test_another_picture_is_not_taken_for_a_motion() -> None:
    """After a cut the pictures are not alike, whatever the estimate made of it."""
    other = load_samples()[3].image
    assert GlobalMotion().estimate(small_grey(STILL), small_grey(other)).likeness < 0.6
    noise = np.random.default_rng(1).integers(0, 255, (2, GREY_SIDE, GREY_SIDE), np.uint8)
    motion = GlobalMotion().estimate(noise[0], noise[1])
    assert (motion.confidence, motion.likeness < 0.2) == (0.0, True)


def test_plain_pictures_have_no_motion() -> None:
    """Black and grey pictures without any detail give none, and no warning."""
    plain = np.zeros((GREY_SIDE, GREY_SIDE), np.uint8)
    assert GlobalMotion().estimate(plain, plain).confidence == 0.0
    assert GlobalMotion().estimate(plain, plain + np.uint8(90)).confidence == 0.0


def test_boxes_move_with_the_picture() -> None:
    """A box of the frame moves by the share of the region that the motion says, and stays where there is none."""
    motion = Motion(np.array([[1.0, 0.0, 0.1], [0.0, 1.0, -0.2]]), 1.0, 1.0)
    region = Box(100, 50, 1000, 500)
    assert motion.move_box(Box(300, 300, 40, 30), region) == pytest.approx((400, 200, 440, 230))
    assert Motion.none().move_box(Box(300, 300, 40, 30), region) == (300, 300, 340, 330)


@pytest.mark.parametrize("shape", [(1080, 1920, 3), (101, 1, 3), (127, 300, 3)])
def test_small_greys_have_one_size(shape: tuple[int, int, int]) -> None:
    """Any picture gives the same size, of its green channel, in memory of its own."""
    image = np.zeros(shape, np.uint8)
    image[..., 1] = 77
    grey = small_grey(image)
    assert grey.shape == (GREY_SIDE, GREY_SIDE)
    assert (grey == 77).all()
    assert not np.shares_memory(grey, image)
