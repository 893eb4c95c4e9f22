"""`CameraSource`: a camera or capture card by OpenCV, live."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import InputError, SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame

from .opencv_log import quiet_opencv
from .selection import Selection
from .source import SourceInfo

UInt8Array = npt.NDArray[np.uint8]

_TIME_BASE = Fraction(1, 90_000)  # MPEG's clock; frames are stamped with ours, rounded to it
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CameraMode:
    """What a camera is asked for; it may answer with another mode, the nearest it has. None: its own choice.

    Attributes:
        size: Width and height in pixels.
        fps: Frames a second.
        pixel_format: ``MJPG``, ``YUYV`` or ``NV12``: how pictures come over the wire. Over USB, large ones at full rate
            often come as MJPG only.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: Literal["MJPG", "YUYV", "NV12"] | None = None

    def differences(self, width: int, height: int, fps: float, pixel_format: str) -> Iterator[str]:
        """One line for each wish that was not met."""
        if self.size is not None and self.size != (width, height):
            yield f"the camera delivers {width}x{height}, not the {self.size[0]}x{self.size[1]} that was asked for"
        if self.fps is not None and fps > 0 and abs(fps - self.fps) > 0.5:
            yield f"the camera delivers {fps:.4g} fps, not the {self.fps:.4g} that was asked for"
        if self.pixel_format is not None and pixel_format != self.pixel_format:
            given = pixel_format or "another format"
            yield f"the camera delivers {given}, not the {self.pixel_format} that was asked for"


def parse_size(text: str) -> tuple[int, int]:
    """Read ``WIDTHxHEIGHT``.

    Raises:
        InputError: It is something else.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text.strip())
    if found is None:
        raise InputError(f"camera size {text!r} is not WIDTHxHEIGHT, such as 1920x1080")
    return int(found[1]), int(found[2])


class CameraSource:
    """A camera. Passive and not thread-safe: one thread iterates and closes.

    It keeps one picture waiting, not a queue of old ones. Stream time runs from the first delivered frame.

    Args:
        device: Index (``0``) or path (``/dev/video0``).
        selection: Which part of it; a start is not possible.
        mode: What it is asked for.

    Raises:
        SourceError: It is not there, is in use, or delivers no picture.
    """

    def __init__(self, device: str, selection: Selection | None = None, mode: CameraMode | None = None) -> None:
        self._name = f"camera {device}"
        mode = mode or CameraMode()
        self._selection = selection or Selection()
        if self._selection.start > 0:
            raise SourceError(f"{self._name}: a camera has no start to skip to; leave --start out")
        self._delivered = 0
        self._origin_ns: int | None = None
        with quiet_opencv():
            self._capture = _open_capture(device)
            _ask(self._capture, mode)
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
            notes=tuple(mode.differences(int(width), int(height), fps, _fourcc(self._capture))),
            endless=True,
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
            frame = Frame(self._delivered, seconds, captured_ns, image, given_away=True)
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


def _ask(capture: cv2.VideoCapture, mode: CameraMode) -> None:
    """Set what was asked for; the format first, because sizes and rates depend on it."""
    if mode.pixel_format is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.pixel_format))
    if mode.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, mode.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, mode.size[1])
    if mode.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, mode.fps)


def _fourcc(capture: cv2.VideoCapture) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    return code.to_bytes(4, "little").decode("ascii", "replace").strip() if code > 0 else ""
