"""`FieldOfView`: the part of the frame that the endoscope's picture fills. And `parse_roi`, for who wants to say it."""

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box
from rt_seg.errors import InputError

UInt8Array = npt.NDArray[np.uint8]
Roi = Literal["auto", "full"] | Box

_SHORT_SIDE = 120  # the frame is looked at with about this many rows
_ABOVE_BLACK = 12  # levels (of 255) above the frame's own black from which a pixel counts as lit
_BLACKEST, _GREYEST = 4, 20  # what a frame's black may be: some recorders deliver 16 for 0
_CORNER = 3  # side in small pixels of the corners where black is looked for
_OPENING = 3  # strokes of text are thinner than this many small pixels and vanish
_DARK_SHARE = 0.05  # a frame with less of it lit says nothing of the field
_SMALLEST_SHARE = 0.10  # a field takes at least this share of the frame; a smaller one is something else
_EVERY = 5  # frames from one look to the next
_WEIGHT = 0.05  # of the newest look in the running mean of what is lit
_LIT_MEAN = 0.12  # running mean from which a pixel counts as lit: 3 looks to grow, 42 to shrink
_GROW, _SHRINK = (
    0.015,
    0.05,
)  # share of the frame's side by which a new box must be larger or smaller to replace the old


def parse_roi(text: str) -> Roi:
    """Read ``auto``, ``full`` or ``X,Y,W,H`` (whole pixels of the frame).

    Raises:
        InputError: It is none of these.
    """
    word = text.strip().lower()
    if word == "auto":
        return "auto"
    if word == "full":
        return "full"
    hint = f"roi {text!r} is not auto, full or X,Y,W,H in pixels, such as 320,40,1280,1000"
    try:
        numbers = [int(part) for part in word.split(",")]
    except ValueError as exc:
        raise InputError(hint) from exc
    if len(numbers) != 4:
        raise InputError(hint)
    x, y, width, height = numbers
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise InputError(f"roi {text!r} has a negative corner or an empty size; give X,Y from 0 and W,H from 1")
    return Box(x, y, width, height)


def check_roi(roi: Roi, width: int, height: int) -> None:
    """Refuse a box that is not inside a frame of that size.

    Raises:
        InputError: It is not.
    """
    if isinstance(roi, Box) and roi.clipped_to(width, height) != roi:
        box = f"{roi.x},{roi.y},{roi.width},{roi.height}"
        raise InputError(f"roi {box} is not inside the frame of {width}x{height}; give a box that is, or auto")


class FieldOfView:
    """Finds the field of view: the box of the largest lit region, text and small pictures beside it left out.

    Passive and not thread-safe: it remembers what was lit. The first frame that is not dark gives an estimate at once;
    after that the box follows what was lit in the running mean of many frames, so that it grows after half a second of
    agreement, shrinks only after several seconds, and neither a dark frame nor a flash moves it.

    Args:
        steady: False judges each frame on its own, for pictures that have nothing to do with each other.
    """

    def __init__(self, *, steady: bool = True) -> None:
        self._steady = steady
        self._size = (0, 0)
        self._frames = 0
        self._mean: npt.NDArray[np.float32] | None = None
        self._box: Box | None = None

    def find(self, image: UInt8Array) -> Box:
        """Look at a frame.

        Args:
            image: uint8 ``[H, W, 3]``, any channel order; only read.

        Returns:
            The field of view in frame pixels; the whole frame as long as nothing better is known.
        """
        height, width = image.shape[:2]
        if (width, height) != self._size or not self._steady:
            self._size, self._frames, self._mean, self._box = (width, height), 0, None, None
        if self._mean is None or self._frames % _EVERY == 0:
            self._look(image)
        self._frames += 1
        return self._box or Box.of_size(width, height)

    @property
    def outline(self) -> npt.NDArray[np.int32] | None:
        """The convex outline of what is lit, closer than the box where corners are cut; None while nothing is found.

        int32 ``[points, 2]``: x and y of pixels of the frame, inside the box.
        """
        if self._mean is None or self._box is None:
            return None
        return _largest_outline(self._mean, self._size)

    def _look(self, image: UInt8Array) -> None:
        lit = _lit(image)
        if float(cv2.mean(lit)[0]) < _DARK_SHARE:
            return
        if self._mean is None:
            self._mean = lit
        else:
            cv2.accumulateWeighted(lit, self._mean, _WEIGHT)
        found = _largest_box(self._mean, self._size)
        if found is not None and (self._box is None or self._differs(found, self._box)):
            self._box = found

    def _differs(self, found: Box, box: Box) -> bool:
        width, height = self._size
        outward = (box.x - found.x) / width, (found.right - box.right) / width
        downward = (box.y - found.y) / height, (found.bottom - box.bottom) / height
        sides = (*outward, *downward)
        return max(sides) > _GROW or min(sides) < -_SHRINK


def lit_outline(image: UInt8Array) -> npt.NDArray[np.int32] | None:
    """The convex outline of the largest lit region of this frame alone; None of a dark one, which says nothing of it.

    It is wider by one pixel of the small copy than what is lit, so that it does not tremble at the field's edge.

    Args:
        image: uint8 ``[H, W, 3]``, any channel order; only read.

    Returns:
        int32 ``[points, 2]``: x and y of pixels of the frame.
    """
    lit = _lit(image)
    if float(cv2.mean(lit)[0]) < _DARK_SHARE:
        return None
    return _largest_outline(lit, (image.shape[1], image.shape[0]), margin=1)


def _lit(image: UInt8Array) -> npt.NDArray[np.float32]:
    """Where a small copy of the frame is not black: float32 ``[h, w]`` with 0 and 1, thin strokes removed."""
    height, width = image.shape[:2]
    factor = max(min(height, width) // _SHORT_SIDE, 1)
    small = cv2.resize(image, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_NEAREST)
    first, second, third = cv2.split(small)
    brightest = cv2.max(cv2.max(first, second), third)
    lit = cv2.threshold(brightest, _black(brightest) + _ABOVE_BLACK, 1, cv2.THRESH_BINARY)[1]
    opened = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((_OPENING, _OPENING), np.uint8))
    return opened.astype(np.float32)


def _black(small: npt.NDArray[Any]) -> int:
    """The frame's black level: the median of its darkest corner, within what recorders deliver."""
    near, far = slice(None, _CORNER), slice(-_CORNER, None)
    corners = [np.sort(small[rows, columns], axis=None) for rows in (near, far) for columns in (near, far)]
    darkest = min(int(corner[len(corner) // 2]) for corner in corners)
    return min(max(darkest, _BLACKEST), _GREYEST)


def _largest_box(mean: npt.NDArray[np.float32], size: tuple[int, int]) -> Box | None:
    """The box, in frame pixels, of the largest connected lit region, or None if it is too small to be a field."""
    width, height = size
    lit = (mean > _LIT_MEAN).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=4, ltype=cv2.CV_16U)
    if len(stats) < 2:
        return None
    x, y, small_width, small_height, _ = max(stats[1:].tolist(), key=lambda row: row[cv2.CC_STAT_AREA])
    rows, columns = mean.shape
    # one small pixel is the precision: beside the frame's edge that edge is meant, elsewhere none of the field is lost
    left = 0 if x <= 1 else (x - 1) * width // columns + 1
    top = 0 if y <= 1 else (y - 1) * height // rows + 1
    right = width if x + small_width >= columns - 1 else -(-(x + small_width) * width // columns)
    bottom = height if y + small_height >= rows - 1 else -(-(y + small_height) * height // rows)
    box = Box(left, top, right - left, bottom - top)
    return box if box.area >= _SMALLEST_SHARE * width * height else None


def _largest_outline(
    mean: npt.NDArray[np.float32], size: tuple[int, int], margin: int = 0
) -> npt.NDArray[np.int32] | None:
    """The convex hull of the largest lit region's pixels, in frame pixels; whole small pixels are taken in."""
    outlines, _ = cv2.findContours((mean > _LIT_MEAN).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    points = max(outlines, key=cv2.contourArea).reshape(-1, 2)
    near, far = -margin, 1 + margin
    corners = np.concatenate([points + offset for offset in ((near, near), (far, near), (near, far), (far, far))])
    scale = np.array(size, np.float64) / np.array(mean.shape[::-1])
    last = np.array(size) - 1
    hull = cv2.convexHull(np.clip(np.rint(corners * scale), 0, last).astype(np.int32))
    return np.asarray(hull, np.int32).reshape(-1, 2)
