"""`GlobalMotion`: how the whole picture moved between two frames, from small grey copies of them."""

from dataclasses import dataclass, field
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

GREY_SIDE = 128
"""Width and height of the small grey pictures, in pixels."""

_GRID = 10  # points along each side
_WINDOW = 9  # pixels that a point is recognised by; 8 by 8 points of 13 pixels cost more and fit no better
_LEVELS = 2  # of the pyramid above the picture itself: motion up to a quarter of the picture
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)  # at most, of a point on each level
_INLIER_PX = 1.0  # distance from the common motion up to which a point follows it
_FEWEST = 12  # points that must follow it
_DIFFERENCE_CAP = 40  # levels: reflections jump by more, and must not decide
_LARGEST_SHIFT = 0.35  # share of the picture: beyond it there is too little overlap to be sure
_LARGEST_STRETCH = 1.35


def small_grey(image: UInt8Array) -> UInt8Array:
    """The small picture that motion and state of a picture are read from: its green channel, scaled down.

    Green shows vessels and folds best. Rows and columns are skipped before the scaling, so that a large frame costs no
    more than a small one.

    Args:
        image: uint8 ``[H, W, 3]``, BGR: the part of the frame inside the field of view, or the model's tensor.

    Returns:
        uint8 ``[GREY_SIDE, GREY_SIDE]``, a fresh array.
    """
    down, across = (max(side // (2 * GREY_SIDE), 1) for side in image.shape[:2])
    thinned = np.ascontiguousarray(image[down // 2 :: down, across // 2 :: across, 1])
    return np.asarray(cv2.resize(thinned, (GREY_SIDE, GREY_SIDE), interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where the points of an earlier picture lie in a later one.

    Attributes:
        matrix: float64 ``[2, 3]``, affine, in shares of the picture: (0, 0) is the upper left corner of the upper left
            pixel, (1, 1) the lower right corner.
        confidence: 0-1: share of the difference between the pictures that the motion explains; 0 where the motion is
            not known, and then `matrix` moves nothing.
        likeness: 0-1: correlation of the two pictures after moving; near 0 after a cut.
    """

    matrix: Matrix = field(repr=False)
    confidence: float
    likeness: float

    @classmethod
    def none(cls, likeness: float = 0.0) -> Self:
        """No motion, or none that is known."""
        return cls(np.eye(2, 3), 0.0, likeness)

    @property
    def shift(self) -> tuple[float, float]:
        """How far the picture's centre moves to the right and down, in shares of the picture."""
        x, y = (self.matrix @ np.array([0.5, 0.5, 1.0])).tolist()
        return x - 0.5, y - 0.5

    @property
    def growth(self) -> float:
        """By how much areas grow."""
        return abs(float(np.linalg.det(self.matrix[:, :2])))

    def warp(self, picture: UInt8Array) -> UInt8Array:
        """Move a probability or mask of the earlier picture to where it is in the later one.

        Args:
            picture: uint8 ``[h, w]`` over the same part of the frame as the greys.

        Returns:
            uint8 ``[h, w]``; 0 where the earlier picture saw nothing. The input itself where nothing moves.
        """
        if self.confidence == 0.0:
            return picture
        size = picture.shape[1], picture.shape[0]
        return np.asarray(cv2.warpAffine(picture, self._in_pixels(*size), size), np.uint8)

    def warp_onto(self, picture: FloatArray, unseen: FloatArray) -> FloatArray:
        """As `warp`, with something else than 0 where the earlier picture saw nothing.

        Args:
            picture: float32 ``[h, w]``.
            unseen: float32 ``[h, w]``: the values for what has come into view; written to.

        Returns:
            `unseen` with the rest in it, or the picture itself where nothing moves.
        """
        if self.confidence == 0.0:
            return picture
        size = picture.shape[1], picture.shape[0]
        matrix = self._in_pixels(*size)
        moved = cv2.warpAffine(picture, matrix, size, dst=unseen, borderMode=cv2.BORDER_TRANSPARENT)
        return np.asarray(moved, np.float32)

    def _in_pixels(self, width: int, height: int) -> Matrix:
        """The matrix for cv2, whose pixel centres lie at whole numbers."""
        size = np.array([width, height], np.float64)
        linear = self.matrix[:, :2] * size[:, None] / size[None, :]
        offset = self.matrix[:, 2] * size + linear @ np.array([0.5, 0.5]) - 0.5
        return np.column_stack([linear, offset])

    def move_box(self, box: Box, region: Box) -> tuple[float, float, float, float]:
        """Where a box of the frame has moved to.

        Args:
            box: In frame pixels.
            region: Part of the frame that the greys show.

        Returns:
            Left, top, right and bottom in frame pixels of the box that encloses the moved corners.
        """
        return self.move_edges((box.x, box.y, box.right, box.bottom), region)

    def move_edges(self, edges: tuple[float, float, float, float], region: Box) -> tuple[float, float, float, float]:
        """As `move_box`, from left, top, right and bottom."""
        left, top, right, bottom = edges
        corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], np.float32)
        moved = self.move_points(corners, region)
        (x, y), (far_x, far_y) = moved.min(axis=0).tolist(), moved.max(axis=0).tolist()
        return x, y, far_x, far_y

    def move_points(self, points: FloatArray, region: Box) -> FloatArray:
        """Where points of the frame have moved to.

        Args:
            points: float32 ``[n, 2]``: x and y in frame pixels.
            region: Part of the frame that the greys show.

        Returns:
            float32 ``[n, 2]``; the points themselves where nothing moves.
        """
        if self.confidence == 0.0:
            return points
        size, corner = np.array([region.width, region.height]), np.array([region.x, region.y])
        linear = self.matrix[:, :2] * size[:, None] / size[None, :]
        offset = corner + self.matrix[:, 2] * size - linear @ corner
        return np.asarray(points @ linear.T.astype(np.float32) + offset.astype(np.float32), np.float32)


class GlobalMotion:
    """Estimates the motion of the whole picture, and says when it does not know it.

    A grid of points is followed by Lucas-Kanade (Bouguet's pyramids), the affine motion that most of them share is
    found by RANSAC, and it is kept only if it makes the two pictures more alike.

    Passive and thread-safe: it remembers nothing.

    Args:
        least_gain: Share (0-1) of the difference between the pictures that a motion must explain to be used.
    """

    def __init__(self, least_gain: float = 0.1) -> None:
        self._least_gain = least_gain
        centres = (np.arange(_GRID, dtype=np.float32) + 0.5) * (GREY_SIDE / _GRID) - 0.5
        self._points = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 1, 2)

    def estimate(self, earlier: UInt8Array, later: UInt8Array) -> Motion:
        """The motion from one picture to another.

        Args:
            earlier: uint8 ``[GREY_SIDE, GREY_SIDE]``, see `small_grey`.
            later: The same part of a later frame.

        Returns:
            The motion, or none (confidence 0) where nothing moved, no common motion was found or it does not help.
        """
        still = _difference(earlier, later)
        pixels = self._follow(earlier, later)
        if pixels is None or still == 0.0:
            return Motion.none(_likeness(earlier, later))
        size = (GREY_SIDE, GREY_SIDE)
        moved = np.asarray(cv2.warpAffine(earlier, pixels, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        gain = 1 - _difference(moved, later) / still
        if gain < self._least_gain:
            return Motion.none(_likeness(earlier, later))
        return Motion(_in_shares(pixels), gain, _likeness(moved, later))

    def _follow(self, earlier: UInt8Array, later: UInt8Array) -> Matrix | None:
        """The common motion in pixels of the greys, for cv2, or None."""
        # Any: cv2 takes None for "no first guess" and gives None for "no matrix", which its stubs do not say
        library: Any = cv2
        moved, found, _ = library.calcOpticalFlowPyrLK(
            earlier, later, self._points, None, winSize=(_WINDOW, _WINDOW), maxLevel=_LEVELS, criteria=_STEPS
        )
        follows = np.asarray(found, np.uint8).ravel() > 0
        if np.count_nonzero(follows) < _FEWEST:
            return None
        matrix, inliers = library.estimateAffine2D(
            self._points[follows], moved[follows], method=cv2.RANSAC, ransacReprojThreshold=_INLIER_PX, maxIters=200
        )
        if matrix is None or np.count_nonzero(inliers) < _FEWEST or not _plausible(matrix):
            return None
        return np.asarray(matrix, np.float64)


def _plausible(matrix: npt.NDArray[Any]) -> bool:
    """Whether a camera may have moved like this between two frames that are close in time."""
    stretches = np.linalg.svd(matrix[:, :2], compute_uv=False)
    middle = np.array([GREY_SIDE / 2, GREY_SIDE / 2])
    shift = matrix[:, :2] @ middle + matrix[:, 2] - middle
    near = bool(np.abs(shift).max() <= _LARGEST_SHIFT * GREY_SIDE)
    return near and bool(stretches.max() < _LARGEST_STRETCH) and bool(stretches.min() > 1 / _LARGEST_STRETCH)


def _in_shares(pixels: Matrix) -> Matrix:
    """From cv2's pixels of the greys to shares of the picture."""
    linear = pixels[:, :2]
    offset = (pixels[:, 2] + 0.5 - linear @ np.array([0.5, 0.5])) / GREY_SIDE
    return np.column_stack([linear, offset])


def _difference(one: UInt8Array, other: UInt8Array) -> float:
    """Mean absolute difference in levels, each pixel counting up to the cap."""
    return float(np.minimum(cv2.absdiff(one, other), np.uint8(_DIFFERENCE_CAP)).mean())


def _likeness(one: UInt8Array, other: UInt8Array) -> float:
    """Correlation coefficient of every second pixel of two pictures, cut to 0-1; two plain pictures are alike."""
    first, second = (picture[::2, ::2].astype(np.float32).ravel() for picture in (one, other))
    first -= first.mean()
    second -= second.mean()
    energy = float(np.sqrt((first @ first) * (second @ second)))
    return min(max(float(first @ second) / energy, 0.0), 1.0) if energy else 1.0
