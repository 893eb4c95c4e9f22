"""`PictureFeed`: the newest picture as a JPEG, made once for all clients, and only when one of them waits for it."""

import struct
import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable

UInt8Array = npt.NDArray[np.uint8]

HEADER = struct.Struct("<IIdd")
"""Frame index, flags, stream seconds, milliseconds of this machine's monotonic clock at capture; little-endian."""

CARRIES_MASK = 1
"""Flag: the picture carries a current mask, be it empty."""

_LONGEST_SIDE = 1920  # pixels; a larger picture is made smaller: no screen of a tablet shows more
_QUALITY = 85
_STAGE = "view (encode)"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture for clients.

    Attributes:
        number: 1 for the first that was encoded.
        message: Header and JPEG, as a client of the WebSocket gets them.
        made_ns: `time.perf_counter_ns` when it was handed over to the view.
    """

    number: int
    message: bytes = field(repr=False)
    made_ns: int

    @property
    def jpeg(self) -> memoryview:
        """The JPEG alone."""
        return memoryview(self.message)[HEADER.size :]


class PictureFeed:
    """Keeps the newest picture and encodes it on a thread of its own. Thread-safe.

    Args:
        statistics: Where the time of encoding is counted.
        pixel_aspect: Width of a pixel over its height; pictures are stretched to their right proportions.

    Attributes:
        latest: The newest that was encoded.
        on_picture: Called with each one, on the thread that encodes; must return at once.
        last: The picture that was handed over last, if there is one.
    """

    def __init__(self, statistics: Statistics, pixel_aspect: Fraction = Fraction(1)) -> None:
        self.latest: Picture | None = None
        self.on_picture: Callable[[Picture], None] = lambda _picture: None
        self.last: Rendered | None = None
        self._statistics = statistics
        self._pixel_aspect = pixel_aspect
        self._changed = threading.Condition()
        self._handed_ns = 0
        self._fresh = self._wanted = self._closed = False
        self._thread = threading.Thread(target=self._run, name="rt-seg view encode", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, rendered: Rendered) -> None:
        """Take the newest picture; nothing is copied, as nobody writes to it any more."""
        with self._changed:
            self.last, self._fresh = rendered, True
            self._handed_ns = time.perf_counter_ns()
            self._changed.notify_all()

    def want(self) -> None:
        """Somebody waits for a picture that is newer than `latest`."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        number = 0
        while (taken := self._take()) is not None:
            number += 1
            start = time.perf_counter_ns()
            picture = encode(taken[0], number, taken[1], self._pixel_aspect)
            self._statistics.add_stage(_STAGE, time.perf_counter_ns() - start)
            self.latest = picture
            self.on_picture(picture)

    def _take(self) -> tuple[Rendered, int] | None:
        """The newest picture once there is one that somebody wants; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._fresh and self._wanted))
            if self._closed or self.last is None:
                return None
            self._fresh = self._wanted = False
            return self.last, self._handed_ns


def encode(rendered: Rendered, number: int, made_ns: int, pixel_aspect: Fraction = Fraction(1)) -> Picture:
    """Make the message of a picture."""
    frame = rendered.frame
    flags = CARRIES_MASK if rendered.segmentation is not None else 0
    header = HEADER.pack(frame.index & 0xFFFFFFFF, flags, frame.pts_seconds, frame.captured_ns / 1e6)
    return Picture(number, header + to_jpeg(rendered.image, _LONGEST_SIDE, pixel_aspect), made_ns)


def to_jpeg(image: UInt8Array, longest_side: int, pixel_aspect: Fraction = Fraction(1)) -> bytes:
    """Encode a picture.

    Args:
        image: uint8 ``[H, W, 3]``, BGR; only read.
        longest_side: Pixels; a larger picture is made smaller.
        pixel_aspect: Width of a pixel over its height.
    """
    width, height = shown_size(image.shape[1], image.shape[0], longest_side, pixel_aspect)
    if (width, height) != (image.shape[1], image.shape[0]):
        smaller = width * height < image.shape[0] * image.shape[1]
        way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def shown_size(width: int, height: int, longest_side: int, pixel_aspect: Fraction = Fraction(1)) -> tuple[int, int]:
    """Size in which a picture is sent: its proportions right, and no side longer than that."""
    across, down = width * max(pixel_aspect, Fraction(1)), height * max(1 / pixel_aspect, Fraction(1))
    scale = min(Fraction(longest_side) / max(across, down), Fraction(1))
    return max(round(across * scale), 1), max(round(down * scale), 1)


def picture_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Size of the pictures that clients get."""
    return shown_size(width, height, _LONGEST_SIDE, pixel_aspect)
