"""From the BGR picture to what H.264 takes: even size, 4:2:0, one size for the whole recording."""

import av
import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

# Code points of ITU-T H.273 for what `I420Converter` makes: a player needs them, and the source's for the rest.
# cv2 converts by BT.601 in limited range, whatever the size, so that is what the file says. BT.709 was measured
# at 1080p and costs more for the same error: swscale 6.7 ms (2 levels) or 4.1 ms (4 levels), cv2 with corrected
# planes 3.8 ms (3 levels), against 1.7 ms (2 levels) here.
MATRIX_BT601 = 6
RANGE_LIMITED = 1


class I420Converter:
    """Turns BGR pictures into yuv420p frames of one size. Not thread-safe: it owns one buffer.

    4:2:0 needs even sizes: an odd one gains a column or row that repeats the last, so that no pixel is lost.
    A picture of another size than the first is scaled to fit and gets black bars.

    Args:
        width: Width of the first picture in pixels.
        height: Height of the first picture in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self.width, self.height = width + width % 2, height + height % 2
        self._planes = np.empty((self.height * 3 // 2, self.width), dtype=np.uint8)
        # sharing the buffer saves a copy (0.6 ms at 1080p); where 4 does not divide the height PyAV would garble it
        shares = self.height % 4 == 0
        self._shared = av.VideoFrame.from_numpy_buffer(self._planes, format="yuv420p") if shares else None

    def convert(self, image: UInt8Array) -> av.VideoFrame:
        """Convert one picture.

        Args:
            image: uint8 ``[H, W, 3]``, BGR, any size.

        Returns:
            A frame that the next call may overwrite: encode it first.
        """
        if image.shape[:2] != (self._height, self._width):
            image = letterbox(image, self._width, self._height)
        if image.shape[:2] != (self.height, self.width):
            right, below = self.width - self._width, self.height - self._height
            padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
            image = np.asarray(padded, dtype=np.uint8)
        cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=self._planes)
        return self._shared or av.VideoFrame.from_ndarray(self._planes, format="yuv420p")


def letterbox(image: UInt8Array, width: int, height: int) -> UInt8Array:
    """Scale a picture to fit, keep its proportions, and fill the rest with black.

    Args:
        image: uint8 ``[H, W, 3]``.
        width: Width to fill in pixels.
        height: Height to fill in pixels.

    Returns:
        uint8 ``[height, width, 3]``, a fresh array.
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    inner_width = min(max(round(image.shape[1] * scale), 1), width)
    inner_height = min(max(round(image.shape[0] * scale), 1), height)
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    x, y = (width - inner_width) // 2, (height - inner_height) // 2
    inner = canvas[y : y + inner_height, x : x + inner_width]
    inner[:] = cv2.resize(image, (inner_width, inner_height), interpolation=mode)
    return canvas
