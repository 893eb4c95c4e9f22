"""`Follow`: an earlier frame's mask on a later frame, where the tissue is now, or not at all."""

import math
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box

from .frame import Frame, Polyp, Segmentation
from .motion import GlobalMotion, Motion, small_grey

Outline = npt.NDArray[np.float32]

_DRAWING_SECONDS = 0.004  # from the decision to the hand-over: a mask must not grow too old on the way
_SAME_SCENE = 0.3  # likeness of two pictures below which the picture was cut


class Follow:
    """Chooses what is drawn on a frame that does not wait for its own mask. Passive and not thread-safe.

    Args:
        max_staleness: Seconds from the capture of the frame that a mask was computed on to the hand-over of the one
            that shows it; an older mask is withheld.
        motion: Estimates how the picture moved; None leaves masks where they were.
    """

    def __init__(self, max_staleness: float = 0.120, motion: GlobalMotion | None = None) -> None:
        self._longest_ns = int((max_staleness - _DRAWING_SECONDS) * 1e9)
        self._motion = motion

    def __call__(self, frame: Frame, newest: Segmentation) -> Segmentation | None:
        """The newest mask where the tissue is in this frame.

        Args:
            frame: The frame that is about to be shown.
            newest: The newest segmentation, of this frame or an earlier one.

        Returns:
            The segmentation, moved; None where it is too old, the picture was cut since, or its size changed.
        """
        if time.perf_counter_ns() - newest.frame.captured_ns > self._longest_ns:
            return None
        if (frame.width, frame.height) != (newest.geometry.frame_width, newest.geometry.frame_height):
            return None
        if self._motion is None or newest.frame is frame or not newest.polyps or newest.grey is None:
            return newest
        later = small_grey(frame.image[newest.geometry.region.slices])
        motion = self._motion.estimate(newest.grey, later)
        if motion.likeness < _SAME_SCENE:
            return None
        return newest if motion.confidence == 0.0 else _moved(newest, motion)


def _moved(segmentation: Segmentation, motion: Motion) -> Segmentation:
    polyps = tuple(moved for polyp in segmentation.polyps if (moved := _moved_polyp(polyp, segmentation, motion)))
    outlines, region = segmentation.outlines, segmentation.geometry.region
    if outlines is not None:
        moved_outlines = (_moved_outline(outline, region, motion) for outline in outlines)
        outlines = tuple(outline for outline in moved_outlines if outline is not None)
    return replace(segmentation, probability=motion.warp(segmentation.probability), polyps=polyps, outlines=outlines)


def _moved_outline(outline: Outline, region: Box, motion: Motion) -> Outline | None:
    """The outline with its points moved, closed along the field's edge; None once it has left the field."""
    points = motion.move_points(outline, region)
    np.maximum(points, (region.x, region.y), out=points)
    np.minimum(points, (region.right, region.bottom), out=points)
    return points if np.ptp(points, axis=0).min() >= 1 else None


def _moved_polyp(polyp: Polyp, segmentation: Segmentation, motion: Motion) -> Polyp | None:
    """The polyp with its box moved, and as much of its area as of its box is still in the field; None once none is."""
    region = segmentation.geometry.region
    left, top, right, bottom = motion.move_box(polyp.box, region)
    whole = (right - left) * (bottom - top)
    left, top = max(left, region.x), max(top, region.y)
    right, bottom = min(right, region.right), min(bottom, region.bottom)
    if right <= left or bottom <= top:
        return None
    x, y = math.floor(left), math.floor(top)
    box = Box(x, y, math.ceil(right) - x, math.ceil(bottom) - y)
    share = motion.growth * (right - left) * (bottom - top) / whole
    return replace(
        polyp, box=box, area_px=max(round(polyp.area_px * share), 1), area_fraction=polyp.area_fraction * share
    )
