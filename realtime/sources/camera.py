"""`CameraSource`: a camera or capture card by OpenCV, live."""

import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame

from .opencv_log import quiet_opencv
from .selection import Selection
from .source import SourceInfo

UInt8Array = npt.NDArray[np.uint8]

_TIME_BASE = Fraction(1, 90_000)  # MPEG's clock; frames are stamped with ours, rounded to it
_NANOSECONDS = 1_000_000_000


class CameraSource:
    """A camera. Passive and not thread-safe: one thread iterates and closes.

    It keeps one picture waiting, not a queue of old ones. Stream time runs from the first delivered frame.

    Args:
        device: Index (``0``) or path (``/dev/video0``).
        selection: Which part of it; a start is not possible.

    Raises:
        SourceError: It is not there, is in use, or delivers no picture.
    """

    def __init__(self, device: str, selection: Selection | None = None) -> None:
        self._name = f"camera {device}"
        self._selection = selection or Selection()
        if self._selection.start > 0:
            raise SourceError(f"{self._name}: a camera has no start to skip to; leave --start out")
        self._delivered = 0
        self._origin_ns: int | None = None
        with quiet_opencv():
            self._capture = _open_capture(device)
            read, image = self._capture.read() if self._capture.isOpened() else (False, None)
        if not read or image is None:
            self._capture.release()
            raise SourceError(f"{self._name}: cannot be opened; check that it is connected, free and yours to read")
        height, width = image.shape[:2]
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.info = SourceInfo(
            name=self._name,
            kind="camera",
            live=True,
            width=int(width),
            height=int(height),
            fps=fps if fps > 0 else None,
            frame_count=self._selection.expected_frames(None, fps if fps > 0 else None),
            time_base=_TIME_BASE,
        )

    def __iter__(self) -> Iterator[Frame]:
        """Deliver pictures as they come; see `Source.__iter__`.

        Raises:
            SourceInterrupted: The camera stopped delivering.
        """
        while self._selection.allows(self._delivered):
            image = self._read()
            captured_ns = time.perf_counter_ns()
            seconds = self._seconds(captured_ns)
            if self._selection.ends_before(seconds):
                return
            frame = Frame(self._delivered, seconds, captured_ns, image)
            self._delivered += 1
            yield frame

    def close(self) -> None:
        """Release the camera; a second call does nothing."""
        self._capture.release()

    def _read(self) -> UInt8Array:
        with quiet_opencv():
            read, image = self._capture.read()
        if not read:
            raise SourceInterrupted(
                f"{self._name}: stopped delivering after {self._delivered} frames; check its cable and power"
            )
        # a fresh array each time: the frame may still be in use while the next one is read
        return np.asarray(image, dtype=np.uint8)

    def _seconds(self, captured_ns: int) -> float:
        if self._origin_ns is None:
            self._origin_ns = captured_ns
        ticks = round(Fraction(captured_ns - self._origin_ns, _NANOSECONDS) / _TIME_BASE)
        return float(ticks * _TIME_BASE)


def _open_capture(device: str) -> cv2.VideoCapture:
    # asked for by name, so that OpenCV does not try (and wait for) every other backend it has
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    capture = cv2.VideoCapture(int(device) if device.isdecimal() else device, backend)
    if capture.isOpened():
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture
