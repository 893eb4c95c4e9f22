"""`PictureJudge`: whether a picture can be assessed at all: black, frozen, overexposed or too blurred.

Thresholds are from 300 stills (60 each of PolypGen C1 to C4 and of Kvasir-SEG, in their fields of view), as they are
and, of the 240 of PolypGen, with a Gaussian blur and fresh noise of 2 levels put on:

| figure, over the middle of the field | stills | at sigma 2 of 256 pixels | at sigma 3 |
|---|---|---|---|
| share of fine detail | 0.19 at least | 0.12 to 0.23 | 0.10 to 0.16 |
| share brighter than 235 (green) | 0.20 at most | | |
| share brighter than 40 (any channel) | 0.65 at least | | |
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.resize import resize_image

from .state import StreamState

UInt8Array = npt.NDArray[np.uint8]

SIDE = 256
"""Pixels that are looked at across and down: finer detail than the model's does not matter."""

_MIDDLE = slice(40, 216)  # of these: the field's cut corners and edge stay out
_DARK, _LIT_SHARE = 40, 0.02  # less than that share above that level: black
_BRIGHT, _BRIGHT_SHARE = 235, 0.40  # more than that share above that level: overexposed
_FINE_SHARE = 0.15  # less than that: blurred
_FINE, _MEDIUM, _COARSE = 1.0, 2.0, 8.0  # sigmas in pixels: fine detail lies between the first two
_SLACK = 0.8  # to leave a state a figure must be better than its threshold by this factor
_SAME_LEVELS, _SAME_VALUES, _TOUCHED_SHARE = 1, 20, 0.18
"""Two small pictures are the same, but for codec and rounding, if at most so many of their values (a ten-thousandth of
them) differ by more than one level, or at most so large a share differs at all: a codec sends nothing for most blocks
of a picture that stands still. Of two pictures with sensor noise of half a level, 60 to 170 differ by more than one
level, and a share of 0.27 to 0.29 differs at all."""
_CODEC_LEVELS, _CODEC_VALUES = 6, 200
"""A key frame shows a picture that stands still in another rendering: at most so many values differ by more."""
_FROZEN_SECONDS = 1.0  # for so long nothing moves: live tissue and noise never do that
_NEW_SHARE = 0.5  # of the looks in that time that may differ from the one before: key frames do, noise in all
_ENTER_SECONDS, _LEAVE_SECONDS = 0.4, 0.2  # how long a picture must be bad, or good again, before it is said


@dataclass(frozen=True, slots=True)
class PictureFigures:
    """What is measured of a picture, over the middle of its field.

    Attributes:
        lit: Share (0-1) of pixels that are not black.
        bright: Share (0-1) of pixels that are burnt out.
        fine: Contrast of fine detail, as a share of that of coarse detail.
    """

    lit: float
    bright: float
    fine: float


class PictureJudge:
    """Says whether pictures can be assessed. Passive and not thread-safe: it takes frames in their order.

    A state is said when it has held for a while, and taken back when it has been over for a while: a single blurred
    frame is none of a person's business.
    """

    def __init__(self) -> None:
        self.state: StreamState | None = None
        self._last: UInt8Array | None = None
        self._begun: UInt8Array | None = None
        self._begun_seconds = 0.0
        self._looks: deque[tuple[float, bool]] = deque()  # when, and whether it was new
        self._heading: StreamState | None = None
        self._heading_since = 0.0

    def __call__(self, image: UInt8Array, pts_seconds: float) -> StreamState | None:
        """Look at the next frame.

        Args:
            image: uint8 ``[H, W, 3]``, BGR: the part of the frame inside the field of view, stretched or not; only
                read, and kept if its sides are `SIDE`.
            pts_seconds: Its stream time.

        Returns:
            `BLACK`, `FROZEN`, `OVEREXPOSED` or `BLURRED`, the gravest that holds, or None for a picture that can be
            assessed.
        """
        small = _small(image)
        seen = self._judge(small, pts_seconds)
        if seen != self._heading or pts_seconds < self._heading_since:
            self._heading, self._heading_since = seen, pts_seconds
        # frozen has waited already
        wait = _LEAVE_SECONDS if seen is None else 0.0 if seen is StreamState.FROZEN else _ENTER_SECONDS
        if seen != self.state and pts_seconds - self._heading_since >= wait:
            self.state = seen
        return self.state

    def reset(self) -> None:
        """Forget what was seen: the source was lost, or is another one."""
        self.state = self._last = self._begun = self._heading = None

    def _judge(self, small: UInt8Array, pts_seconds: float) -> StreamState | None:
        frozen = self._is_frozen(small, pts_seconds)
        figures = measure_picture(small)
        if figures.lit < _LIT_SHARE / self._slack(StreamState.BLACK):
            return StreamState.BLACK
        if frozen:
            return StreamState.FROZEN
        if figures.bright > _BRIGHT_SHARE * self._slack(StreamState.OVEREXPOSED):
            return StreamState.OVEREXPOSED
        return StreamState.BLURRED if figures.fine < _FINE_SHARE / self._slack(StreamState.BLURRED) else None

    def _slack(self, state: StreamState) -> float:
        return _SLACK if self.state is state else 1.0

    def _is_frozen(self, small: UInt8Array, pts_seconds: float) -> bool:
        """Most pictures equal the one before, and all are like the one that began it: slow drift is no standstill."""
        new = self._last is None or _is_new(self._last, small)
        self._last = small
        self._looks.append((pts_seconds, new))
        while self._looks[-1][0] - self._looks[0][0] > _FROZEN_SECONDS:
            self._looks.popleft()
        moved = self._begun is None or _count_above(cv2.absdiff(self._begun, small), _CODEC_LEVELS) > _CODEC_VALUES
        if moved or sum(each for _, each in self._looks) > _NEW_SHARE * len(self._looks):
            self._begun, self._begun_seconds = small, pts_seconds
            self._looks.clear()
        return pts_seconds - self._begun_seconds >= _FROZEN_SECONDS


def _is_new(before: UInt8Array, small: UInt8Array) -> bool:
    difference = cv2.absdiff(before, small)
    levels_apart, touched = _count_above(difference, _SAME_LEVELS), _count_above(difference, 0)
    return levels_apart > _SAME_VALUES and touched > _TOUCHED_SHARE * small.size


def _count_above(difference: cv2.typing.MatLike, levels: int) -> int:
    return int(np.count_nonzero(difference > levels))


def measure_picture(small: UInt8Array) -> PictureFigures:
    """Measure a small picture.

    Args:
        small: uint8 ``[256, 256, 3]``, BGR, of the field of view.
    """
    middle = small[_MIDDLE, _MIDDLE]
    brightest = cv2.max(cv2.max(middle[..., 0], middle[..., 1]), middle[..., 2])
    lit = float(np.count_nonzero(brightest > _DARK)) / brightest.size
    bright = float(np.count_nonzero(middle[..., 1] >= _BRIGHT)) / brightest.size
    return PictureFigures(lit, bright, _fine_share(np.ascontiguousarray(small[..., 1])))


def _fine_share(green: UInt8Array) -> float:
    """Standard deviation of a fine band of the picture over that of a coarse band; noise lies below both."""
    levels = green.astype(np.float32)
    fine, medium, coarse = (
        cv2.GaussianBlur(levels, (0, 0), sigma)[_MIDDLE, _MIDDLE] for sigma in (_FINE, _MEDIUM, _COARSE)
    )
    return float((fine - medium).std()) / max(float((medium - coarse).std()), 1e-3)


def _small(image: UInt8Array) -> UInt8Array:
    return image if image.shape[:2] == (SIDE, SIDE) else resize_image(image, SIDE, SIDE)
