"""`Stabiliser`: masks that hold still, by a running mean of the probability that moves with the picture."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box, Geometry

from .motion import GREY_SIDE, GlobalMotion, Motion, small_grey

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Mode = Literal["off", "light", "strong"]

_LONGEST_GAP = 0.5  # seconds without a frame after which the past says nothing
_SAME_SCENE = 0.3  # correlation of two pictures, after moving, below which the picture was cut


@dataclass(frozen=True, slots=True)
class Filter:
    """How probabilities are held still.

    Attributes:
        seconds: Time constant of the running mean: so long after a change it has followed by 63 %. 0 for no mean.
        moving: Whether the mean moves with the picture; without, it smears when the camera moves.
        margin: Levels (of 255) by which a pixel that was polyp is raised and one that was not is lowered (hysteresis).
    """

    seconds: float = 0.0
    moving: bool = True
    margin: int = 0


FILTERS: dict[Mode, Filter] = {"off": Filter(), "light": Filter(0.06), "strong": Filter(0.16)}
"""The filter of each mode."""


class Stabiliser:
    """Holds masks still from frame to frame. Passive and not thread-safe: it takes frames in their order.

    After a cut, a gap in time, or when the field of view is another one it starts anew, so that no mask of an older
    picture is drawn on a new one.

    Args:
        mode: ``off``, ``light`` or ``strong``, or a `Filter` of one's own.
        threshold: uint8 value from which a pixel counts as polyp; only hysteresis reads it.
    """

    def __init__(self, mode: Mode | Filter, threshold: int = 128) -> None:
        self.filter = FILTERS[mode] if not isinstance(mode, Filter) else mode
        self.threshold = threshold
        self.motion = Motion.none()
        self.cut = False
        self._global_motion = GlobalMotion()
        self._mean: FloatArray | None = None
        self._marked: UInt8Array | None = None
        self._grey: UInt8Array | None = None
        self._region: Box | None = None
        self._pts_seconds = 0.0

    def choose(self, mode: Mode) -> None:
        """Hold masks still like this from the next frame on; what was held before is forgotten."""
        if FILTERS[mode] != self.filter:
            self.filter = FILTERS[mode]
            self._mean = self._marked = None

    def __call__(
        self, probability: UInt8Array, picture: UInt8Array, geometry: Geometry, pts_seconds: float
    ) -> UInt8Array:
        """Take the next frame.

        Args:
            probability: uint8 ``[h, w]``, 255 = certain; not written to.
            picture: The same part of the frame: uint8 ``[h, w, 3]`` BGR (the model's tensor will do), or what
                `small_grey` made of it.
            geometry: Where the probability's pixels lie in the frame.
            pts_seconds: Stream time of the frame.

        Returns:
            uint8 ``[h, w]``: the stabilised probability; with mode ``off`` the one that was given. How the picture
            moved since the last call stands in `motion`, and in `cut` whether it shows another scene.
        """
        grey = picture if picture.shape == (GREY_SIDE, GREY_SIDE) else small_grey(picture)
        gap = pts_seconds - self._pts_seconds
        self.motion, goes_on = self._moved(grey, geometry.region, gap)
        self._grey, self._region, self._pts_seconds = grey, geometry.region, pts_seconds
        if self._mean is not None and (not goes_on or self._mean.shape != probability.shape):
            self._mean = self._marked = None
        if self.filter.seconds == 0.0 and self.filter.margin == 0:
            return probability
        return self._hold(self._average(probability, gap))

    def _moved(self, grey: UInt8Array, region: Box, gap: float) -> tuple[Motion, bool]:
        """The motion since the last frame, and whether that frame still says something about this one."""
        self.cut = False
        if self._grey is None or region != self._region or not 0.0 <= gap <= _LONGEST_GAP:
            return Motion.none(), False
        motion = self._global_motion.estimate(self._grey, grey)
        self.cut = motion.likeness < _SAME_SCENE
        return motion, not self.cut

    def _average(self, probability: UInt8Array, gap: float) -> UInt8Array:
        if self.filter.seconds == 0.0:
            return probability
        if self._mean is None:
            self._mean = probability.astype(np.float32)
            return probability
        if self.filter.moving:
            self._mean = self.motion.warp_onto(self._mean, probability.astype(np.float32))
        # of frames that come faster each counts less: the delay is one of time, not of frames
        weight = np.float32(1 - math.exp(-max(gap, 1e-3) / self.filter.seconds))
        self._mean += weight * (probability - self._mean)
        return np.rint(self._mean).astype(np.uint8)

    def _hold(self, probability: UInt8Array) -> UInt8Array:
        if self.filter.margin == 0:
            return probability
        if self._marked is not None and self._marked.shape == probability.shape:
            marked = self.motion.warp(self._marked) if self.filter.moving else self._marked
            bias = np.where(marked > 127, self.filter.margin, -self.filter.margin)
            probability = np.clip(probability + bias, 0, 255).astype(np.uint8)
        self._marked = np.where(probability >= self.threshold, np.uint8(255), np.uint8(0))
        return probability
