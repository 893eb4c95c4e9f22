"""`Overlay`: draws what the engine saw, in place, and touches nothing beside it."""

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box

from .frame import Segmentation
from .regions import contours

UInt8Array = npt.NDArray[np.uint8]
Int32Array = npt.NDArray[np.int32]
Style = Literal["contour", "fill", "heatmap", "none"]
Colour = tuple[int, int, int]

CYAN: Colour = (255, 230, 0)
"""BGR. Mucosa is red, yellow and brown: its opposite stands out, and not by hue alone for people who see red and green
alike, because it is brighter than all but reflections."""

_EDGE: Colour = (40, 30, 0)
_SHIFT = 4  # fractional bits of the points handed to cv2
_HEAT_FLOOR = 26  # probability (of 255) below which the heatmap leaves the picture alone: about 10 %


class Overlay:
    """Draws the mask of a segmentation on a picture. Passive and not thread-safe: one thread draws.

    Args:
        style: ``contour`` (a line with a thin dark edge), ``fill`` (the line, and the region tinted), ``heatmap`` (the
            probability in colours, where it is above 10 %) or ``none``.
        alpha: Opacity (0-1) of the tint and of the hottest part of the heatmap; lines are opaque.
        colour: BGR of line and tint.

    Raises:
        ValueError: An unknown style, or an alpha outside 0 to 1.
    """

    def __init__(self, style: Style = "contour", alpha: float = 0.4, colour: Colour = CYAN) -> None:
        if style not in ("contour", "fill", "heatmap", "none"):
            raise ValueError(f"overlay style {style!r} is not one of contour, fill, heatmap, none")
        self.style: Style = style
        self._colour = colour
        self._tint = np.zeros((0, 0, 3), np.uint8)
        self.alpha = alpha

    @property
    def alpha(self) -> float:
        """Opacity (0-1); may be set between two pictures.

        Raises:
            ValueError: Set to something outside 0 to 1.
        """
        return self._alpha

    @alpha.setter
    def alpha(self, alpha: float) -> None:
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"overlay alpha {alpha} is not between 0 and 1")
        self._alpha = alpha
        self._heat, self._keep = _heat_tables(alpha)

    def draw(self, image: UInt8Array, segmentation: Segmentation) -> None:
        """Draw in place. Pixels that the marker does not cover stay as they are, bit for bit.

        Args:
            image: uint8 ``[H, W, 3]``, BGR, of the segmentation's frame size, contiguous; written to.
            segmentation: What to show.
        """
        if self.style == "heatmap":
            self._draw_heatmap(image, segmentation)
        elif self.style != "none":
            self._draw_outlines(image, segmentation)

    def _draw_outlines(self, image: UInt8Array, segmentation: Segmentation) -> None:
        outlines = [_fixed_point(outline) for outline in contours(segmentation)]
        if not outlines:
            return
        if self.style == "fill":
            self._tint_inside(image, outlines)
        width = line_width(image)
        # from 1080p on, a step of one pixel is too small to see, and antialiasing doubles the time
        kind = cv2.LINE_AA if width <= 3 else cv2.LINE_8
        cv2.polylines(image, outlines, True, _EDGE, width + 2 * max(width // 3, 1), cv2.LINE_8, _SHIFT)
        cv2.polylines(image, outlines, True, self._colour, width, kind, _SHIFT)

    def _tint_inside(self, image: UInt8Array, outlines: list[Int32Array]) -> None:
        box = _bounding_box(outlines, image)
        if box is None:
            return
        roi = image[box.slices]
        inside = np.zeros(roi.shape[:2], np.uint8)
        # all at once: even-odd filling leaves the holes open
        corner = np.array([box.x << _SHIFT, box.y << _SHIFT], np.int32)
        cv2.fillPoly(inside, [outline - corner for outline in outlines], 255, cv2.LINE_8, _SHIFT)
        tint = self._tint_of(image)[box.slices]
        tinted = cv2.addWeighted(roi, 1 - self._alpha, tint, self._alpha, 0)
        cv2.copyTo(tinted, inside, roi)

    def _tint_of(self, image: UInt8Array) -> UInt8Array:
        """A picture of the frame's size in the tint's colour, made once: cv2 cannot blend with a plain colour."""
        if self._tint.shape != image.shape:
            self._tint = np.full(image.shape, self._colour, np.uint8)
        return self._tint

    def _draw_heatmap(self, image: UInt8Array, segmentation: Segmentation) -> None:
        probability, geometry = segmentation.probability, segmentation.geometry
        x, y, width, height = cv2.boundingRect(cv2.threshold(probability, _HEAT_FLOOR - 1, 255, cv2.THRESH_BINARY)[1])
        if not width:
            return
        box = geometry.box_to_frame(Box(x, y, width, height))
        roi = image[box.slices]
        large = cv2.resize(probability[y : y + height, x : x + width], (box.width, box.height))
        kept = cv2.multiply(roi, cv2.applyColorMap(large, self._keep), scale=1 / 255)
        cv2.add(kept, cv2.applyColorMap(large, self._heat), dst=roi)


def line_width(image: UInt8Array) -> int:
    """Width of the outline in pixels: 2 at 480p, 4 at 1080p, 7 at 4K."""
    height, width = image.shape[:2]
    shorter: int = min(height, width)
    return max(round(shorter / 300), 1)


def _heat_tables(alpha: float) -> tuple[UInt8Array, UInt8Array]:
    """Tables from probability to the colour that is added and to what is kept of the picture; uint8 ``[256, 1, 3]``.

    Opacity grows with the probability, from nothing at the floor to alpha; below the floor exactly everything is kept.
    """
    levels = np.arange(256, dtype=np.uint8)
    colours = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_VIRIDIS)
    ramp = np.clip((levels.astype(np.float64) - _HEAT_FLOOR) / (128 - _HEAT_FLOOR), 0, 1)
    opacity = (alpha * ramp)[:, None, None]
    keep = np.rint(255 * (1 - opacity)).astype(np.uint8)
    return np.rint(colours * opacity).astype(np.uint8), np.repeat(keep, 3, axis=2)


def _fixed_point(outline: npt.NDArray[np.float32]) -> Int32Array:
    """Points for cv2, whose pixel centres lie at whole numbers, with fractional bits."""
    return np.asarray(np.rint((outline - 0.5) * (1 << _SHIFT)), dtype=np.int32)


def _bounding_box(outlines: list[Int32Array], image: UInt8Array) -> Box | None:
    points = np.concatenate(outlines)
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    x, y = left >> _SHIFT, top >> _SHIFT
    box = Box(x, y, (right >> _SHIFT) + 2 - x, (bottom >> _SHIFT) + 2 - y)
    return box.clipped_to(image.shape[1], image.shape[0])
