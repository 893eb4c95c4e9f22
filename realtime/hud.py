"""`Hud`: a quiet plate in one corner that says how the stream is doing."""

import time
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Box

from .state import StreamState

UInt8Array = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Line = tuple[str, Colour]

_WHITE: Colour = (235, 235, 235)  # all colours are BGR
_GREY: Colour = (165, 165, 165)
_CYAN: Colour = (255, 230, 0)
_AMBER: Colour = (40, 170, 255)
_RED: Colour = (60, 60, 245)
_BACKGROUND = 0.35  # share of the picture that shines through the plate
_WEIGHT = 500  # of the font: between regular and bold
_SMALL = 400  # pixels of the shorter side below which the lines are brief
_WORTH_MOVING = 0.25  # share of the plate that another corner must free of the field
_WIDEST = max(StreamState, key=len)  # the plate keeps one width, whatever it says
_OUTPUTS = {"record": "recording"}  # names of sinks in words
_FINE = (StreamState.SEGMENTING, StreamState.STARTING)


@dataclass(frozen=True, slots=True)
class HudState:
    """What the plate says.

    Attributes:
        fps: Frames a second at the moment, or None while it is not known.
        delay_ms: Annotation delay: milliseconds from the capture of the frame that the shown mask was computed on to
            now, or None where no mask is shown.
        polyps: Number of polyps in the mask that is shown, or None where there is no mask.
        status: What the stream is doing.
        recording: Whether a recording is being written; None where none was asked for.
        stopped: Outputs that failed and are tried again, such as ``recording``.
    """

    fps: float | None = None
    delay_ms: float | None = None
    polyps: int | None = None
    status: StreamState = StreamState.SEGMENTING
    recording: bool | None = None
    stopped: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines with their colours, from top to bottom."""
        fps = "-" if self.fps is None else f"{self.fps:.1f}"
        delay = "-" if self.delay_ms is None else f"{self.delay_ms:.0f}"
        return (
            (self.status.value, _WHITE if self.status in _FINE else _AMBER),
            (self._count, _CYAN if self.polyps else _WHITE),
            *self._trouble,
            (f"{fps} fps   {delay} ms delay", _WHITE),
            ("research use only", _GREY),
        )

    @property
    def brief(self) -> tuple[Line, ...]:
        """The lines for a small picture: trouble or else the count, and what the picture is not for."""
        fine = self.status in _FINE
        first = (self._count, _CYAN if self.polyps else _WHITE) if fine else (self.status.value, _AMBER)
        return first, *self._trouble, ("research use only", _GREY)

    @property
    def _count(self) -> str:
        return "no mask" if self.polyps is None else f"{self.polyps or 'no'} polyp{'' if self.polyps == 1 else 's'}"

    @property
    def _trouble(self) -> tuple[Line, ...]:
        return tuple((f"{_OUTPUTS.get(name, name)} stopped", _AMBER) for name in self.stopped)


class Hud:
    """Draws the plate into the corner that hides least of the field of view. Passive and not thread-safe.

    Its size follows the picture's, and a small picture gets the brief lines. Words change at once, figures a few times
    a second, so that they can be read; the plate leaves its corner only for one that hides much less of the field.

    Args:
        renew_seconds: How long figures stand before they are renewed.
    """

    def __init__(self, renew_seconds: float = 0.25) -> None:
        self._renew_seconds = renew_seconds
        self._font = cv2.FontFace("sans")  # ships inside OpenCV
        self._plate = np.zeros((0, 0, 3), np.uint8)
        self._shown: tuple[object, ...] | None = None
        self._corner = 0
        self._shown_at = 0.0

    def draw(self, image: UInt8Array, state: HudState, field: Box | None = None) -> None:
        """Draw in place; only the plate's own rectangle is touched.

        Args:
            image: uint8 ``[H, W, 3]``, BGR, contiguous; written to.
            state: What to say.
            field: Field of view in frame pixels, if known; the plate stays outside where there is room. A picture
                less than twice as wide and high as the plate goes without.
        """
        height, width = image.shape[:2]
        self._renew(text_size(width, height), state, brief=min(width, height) < _SMALL)
        plate_height, plate_width = self._plate.shape[:2]
        if 2 * plate_width > width or 2 * plate_height > height:
            return
        roi = image[self._place(width, height, field).slices]
        cv2.addWeighted(roi, _BACKGROUND, self._plate, 1.0, 0.0, dst=roi)

    def _place(self, width: int, height: int, field: Box | None) -> Box:
        """The plate's box: in the corner that hides least of the field, lower left if they are equal."""
        plate_height, plate_width = self._plate.shape[:2]
        boxes = _corners(width, height, plate_width, plate_height)
        hidden = [0 if field is None else _shared_pixels(box, field) for box in boxes]
        best = hidden.index(min(hidden))
        if hidden[self._corner] - hidden[best] > _WORTH_MOVING * plate_width * plate_height:
            self._corner = best
        return boxes[self._corner]

    def _renew(self, size: int, state: HudState, *, brief: bool) -> None:
        words = (size, brief, state.status, state.polyps, state.recording, state.stopped)
        now = time.perf_counter()
        if words == self._shown and now - self._shown_at < self._renew_seconds:
            return
        lines = state.brief if brief else state.lines
        self._plate = self._make_plate(size, lines, "" if brief else _WIDEST, recording=bool(state.recording))
        self._shown, self._shown_at = words, now

    def _make_plate(self, size: int, lines: tuple[Line, ...], widest: str, *, recording: bool) -> UInt8Array:
        padding, step, dot = round(0.7 * size), round(1.45 * size), round(0.38 * size)
        # room for the dot is kept, so that the plate does not change when a recording begins
        width = max(self._width(text, size) for text in (widest, *(text for text, _ in lines))) + 3 * padding + 2 * dot
        plate = np.zeros((step * len(lines) + round(1.1 * padding), width, 3), np.uint8)
        for row, (text, colour) in enumerate(lines):
            cv2.putText(plate, text, (padding, padding + size + step * row), colour, self._font, size, _WEIGHT)
        if recording:
            cv2.circle(plate, (width - padding - dot, padding + size - dot), dot, _RED, cv2.FILLED, cv2.LINE_AA)
        return plate

    def _width(self, text: str, size: int) -> int:
        return int(cv2.getTextSize((0, 0), text, (0, 0), self._font, size, _WEIGHT)[2])


def text_size(width: int, height: int) -> int:
    """Height of the text in pixels for a picture of that size: 12 at 480p, 22 at 1080p, 45 at 4K."""
    return max(round(min(width, height) / 48), 12)


def _corners(width: int, height: int, plate_width: int, plate_height: int) -> list[Box]:
    """Where the plate may go: lower left, lower right, upper left, upper right."""
    margin = round(min(width, height) / 60)
    right, bottom = width - margin - plate_width, height - margin - plate_height
    corners = ((margin, bottom), (right, bottom), (margin, margin), (right, margin))
    return [Box(x, y, plate_width, plate_height) for x, y in corners]


def _shared_pixels(one: Box, other: Box) -> int:
    across = min(one.right, other.right) - max(one.x, other.x)
    down = min(one.bottom, other.bottom) - max(one.y, other.y)
    return max(across, 0) * max(down, 0)


def draw_no_signal(image: UInt8Array) -> None:
    """Say in the middle of a picture that stands in for a missing one that there is no signal.

    Args:
        image: uint8 ``[H, W, 3]``, BGR, contiguous; written to.
    """
    height, width = image.shape[:2]
    font, text = cv2.FontFace("sans"), StreamState.NO_SIGNAL.value
    size = max(min(2 * text_size(width, height), width // len(text)), 8)
    text_width = int(cv2.getTextSize((0, 0), text, (0, 0), font, size, _WEIGHT)[2])
    cv2.putText(image, text, ((width - text_width) // 2, (height + size) // 2), _AMBER, font, size, _WEIGHT)
