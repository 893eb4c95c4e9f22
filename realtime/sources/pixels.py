"""`BgrConverter`: a decoded picture, whatever its format, matrix, range and orientation, to upright BGR."""

from typing import TYPE_CHECKING, Final, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.buffer import Buffer

UInt8Array = npt.NDArray[np.uint8]

# ITU-T H.273, table 4 (matrix coefficients) -> what swscale calls them
_MATRICES: Final = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_HD_LINES = 720  # untagged pictures of so many lines are taken for BT.709, smaller ones for BT.601, as players do
_FAST_FORMATS: Final = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p"})
_ONE_LEVEL: Final = cast("UInt8Array", 1)  # a scalar, which cv2's annotations leave out
_EXACT = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
# (transposed, flipped left to right, flipped top to bottom), in that order -> one cv2 call
_ROTATIONS: Final = {
    (True, True, False): cv2.ROTATE_90_CLOCKWISE,
    (False, True, True): cv2.ROTATE_180,
    (True, False, True): cv2.ROTATE_90_COUNTERCLOCKWISE,
}


class BgrConverter:
    """Converts the pictures of one stream. Not thread-safe: it reuses swscale's context.

    swscale's fast path (0.9 ms for 1080p on one core, where cv2's I420 takes 2.0 ms of CPU and knows BT.601 only)
    truncates three products, which leaves limited-range colours up to 2.8 levels too dark. Adding one level (0.2 ms)
    halves that; its exact path would cost 8 ms. Formats without a fast path take the exact one.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self._turn = (False, False, False)

    def __call__(self, picture: av.VideoFrame) -> UInt8Array:
        """Convert one picture.

        Args:
            picture: As decoded, in any pixel format.

        Returns:
            uint8 ``[H, W, 3]``, BGR, full range, upright. Rows may be padded (strides); the memory is its own.
        """
        if picture.rotation != self._rotation:
            # Not for every picture: PyAV's side data and its picture hold each other, and some hundred large pictures
            # would wait in memory for the garbage collector.
            self._rotation, self._turn = picture.rotation, orientation(picture)
        return _upright(self._convert(picture), self._turn)

    def _convert(self, picture: av.VideoFrame) -> UInt8Array:
        name = picture.format.name
        matrix = matrix_of(picture)
        full = is_full_range(picture)
        # an odd size has no fast path; swscale then takes its exact one by itself
        fast = name in _FAST_FORMATS and picture.width % 2 == 0 and picture.height % 2 == 0
        converted = self._reformatter.reformat(
            picture,
            format="bgr24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BILINEAR if fast else _EXACT,
            threads=1,  # a second thread would take a core from inference and save no CPU time
        )
        image: UInt8Array = converted.to_ndarray().view(np.uint8)
        if converted is picture:
            image = image.copy()  # it was BGR: the memory is the decoder's, which may build the next picture on it
        if fast and not full:
            flat = image.reshape(len(image), -1)  # a view; of one channel it takes two thirds of the time
            cv2.add(flat, _ONE_LEVEL, dst=flat)
        elif name.startswith("gray") and picture.color_range == ColorRange.MPEG:
            # swscale takes all grey for full range
            image = np.asarray(cv2.LUT(image, _LIMITED_TO_FULL), dtype=np.uint8)
        return image


def matrix_of(picture: av.VideoFrame) -> Colorspace:
    """The matrix that a picture was coded with, or the customary one where it is not tagged."""
    tagged = _MATRICES.get(picture.colorspace)
    if tagged is not None:
        return tagged
    return Colorspace.ITU709 if picture.height >= _HD_LINES else Colorspace.ITU601


def is_full_range(picture: av.VideoFrame) -> bool:
    """Whether luma uses 0-255 (tagged so, or a ``yuvj`` or RGB format) rather than 16-235."""
    if picture.color_range == ColorRange.JPEG:
        return True
    return picture.format.name.startswith("yuvj") or picture.format.is_rgb


def orientation(picture: av.VideoFrame) -> tuple[bool, bool, bool]:
    """How a picture must be turned to stand upright: transposed, then flipped left to right, then top to bottom.

    Read from the display matrix (FFmpeg's libavutil/display.h: nine int32, ``x' = a x + c y``, ``y' = b x + d y``).
    Angles between the quarter turns are taken to the nearest one.
    """
    # annotated as holding motion vectors only
    matrix = cast("Mapping[str, Buffer]", picture.side_data).get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def upright_size(picture: av.VideoFrame) -> tuple[int, int]:
    """Width and height in pixels of a picture that stands upright."""
    transposed = orientation(picture)[0]
    return (picture.height, picture.width) if transposed else (picture.width, picture.height)


def _upright(image: UInt8Array, turn: tuple[bool, bool, bool]) -> UInt8Array:
    if turn == (False, False, False):
        return image
    rotation = _ROTATIONS.get(turn)
    if rotation is not None:
        return np.asarray(cv2.rotate(image, rotation), dtype=np.uint8)
    transposed, flipped_x, flipped_y = turn
    if transposed:
        image = np.asarray(cv2.transpose(image), dtype=np.uint8)
    if flipped_x or flipped_y:
        code = -1 if flipped_x and flipped_y else int(flipped_x)
        image = np.asarray(cv2.flip(image, code), dtype=np.uint8)
    return image


def _limited_to_full() -> UInt8Array:
    levels = (np.arange(256, dtype=np.float64) - 16) * 255 / 219
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


_LIMITED_TO_FULL: Final = _limited_to_full()
