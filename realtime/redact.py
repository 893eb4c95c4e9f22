"""`Redactor`: pictures without what names a patient: black outside the field of view, text inside it covered.

The detector of text is a simple one: strokes, thin and of one width, that stand in a row of at least three, or bright
ones that stay where they are while the picture behind them moves. It finds captions, dates and names as processors and
recorders draw them: in strong contrast, upright, in rows. It does not find faint or slanted text, single letters on a
picture that stands still, nor a patient's page that fills the screen: look at what was recorded before it is passed on.

Reflections that stand in rows pass as text. Of 120 frames each of two hospital videos of 480 and 240 rows, that covers
18 % of what is lit. Names newly written over them are often missed: in the second after they appear, all letters were
covered in 6, 94 and 95 % of frames (480 rows) and in 0, 10 and 57 % (240 rows), with letters of 1.8, 3 and 5 % of the
frame's height.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.field_of_view import FieldOfView, lit_outline
from rt_seg.engines.geometry import Box

UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

_ROWS = 480  # height of the copy that text is looked for in
_STROKE = 9  # pixels of that copy: strokes are thinner
_CONTRAST = 45  # levels by which strokes differ from what is around them
_LOW, _HIGH = 5, 44  # height of letters in that copy
_WIDEST = 2.2  # width of a letter, in heights; beyond it is a line
_FULLEST = 0.85  # share of its box that a letter fills at most: a reflection is a filled spot
_LEAST_IN_ROW = 3
_BLUE, _GREEN, _RED = 0, 1, 2
# white, yellow, green and cyan are bright in green; on bright tissue colours and black are dark in one of the others
_LOOKS = ((cv2.MORPH_TOPHAT, _GREEN), (cv2.MORPH_BLACKHAT, _BLUE), (cv2.MORPH_BLACKHAT, _RED))
_LIKE_HEIGHT = 1.7  # ratio of heights in a row, up to which letters belong together
_LIKE_STROKE = 1.9  # ratio of their strokes' widths likewise
_GAP = 1.3  # heights between neighbours in a row
_PADDING = 0.45  # heights added around a row
_HOLD_SECONDS = 1.5  # how long a place stays covered after text was last found there
_MOMENT_SECONDS = 0.1  # the same where it was found too seldom: text on a screen stands still, reflections do not
_LEAST_FINDS = 2  # frames of the last 1.5 s in which text at one place must be found to be held
_SAME_PLACE = 0.1  # of a box's height, by which its top and bottom may differ from another's at the same place
_CAREFUL_SECONDS = 1.0  # after a start or a change of scene: what is found then is held, whether found again or not
_GAP_SECONDS = 0.5  # between two frames, from which a start is a new one
_CHANGED = 60.0  # mean difference in levels from which a scene counts as another
_STILL_WEIGHT = 0.06  # of a frame in the running mean of where strokes are
_STILL_MEAN = 0.8  # mean from which a stroke counts as fixed to the screen: 26 frames of movement
_MOVED = 3.0  # mean difference in levels from which the picture behind counts as moving


@dataclass(frozen=True, slots=True)
class _Letter:
    """A connected stroke, in pixels of the small copy."""

    x: int
    y: int
    width: int
    height: int
    stroke: float  # half its greatest width

    def joins(self, other: "_Letter") -> bool:
        """Whether both may stand in one row, side by side."""
        low, high = sorted((self.height, other.height))
        thin, thick = sorted((self.stroke, other.stroke))
        shared = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        gap = max(self.x, other.x) - min(self.x + self.width, other.x + other.width)
        alike = high <= _LIKE_HEIGHT * low and thick <= _LIKE_STROKE * thin
        return alike and shared >= 0.6 * low and -0.3 * low <= gap <= _GAP * high


class _Places:
    """Where text was found of late, in frame pixels, and what of it is covered.

    All that is found is covered at once. It stays covered for a while if it was found at the same place in several
    frames, or in the first ones of a scene; else only for a moment.
    """

    def __init__(self) -> None:
        self._edges = np.zeros((0, 4), np.float64)  # left, top, right, bottom
        self._seconds = np.zeros(0)  # when each was found
        self._held = np.zeros(0, bool)  # whether each is covered for a while
        self._newest = -math.inf
        self._careful_until = -math.inf

    def update(self, found: Sequence[Box], seconds: float, *, changed: bool) -> list[Box]:
        """Take what a frame shows; where the picture is to be covered now."""
        if changed or not 0 <= seconds - self._newest <= _GAP_SECONDS:
            self._careful_until = seconds + _CAREFUL_SECONDS
        self._newest = seconds
        edges = np.array([(each.x, each.y, each.right, each.bottom) for each in found], np.float64).reshape(-1, 4)
        self._edges = np.concatenate([self._edges, edges])
        self._seconds = np.concatenate([self._seconds, np.full(len(edges), seconds)])
        self._held = np.concatenate([self._held, np.full(len(edges), seconds <= self._careful_until)])
        age = seconds - self._seconds
        recent = (age >= 0) & (age <= _HOLD_SECONDS)
        self._edges, self._seconds, self._held = self._edges[recent], self._seconds[recent], self._held[recent]
        for each in edges:
            same = _same_place(self._edges, each)
            if len(np.unique(self._seconds[same])) >= _LEAST_FINDS:
                self._held |= same
        covered = self._held | (seconds - self._seconds <= _MOMENT_SECONDS)
        boxes = self._edges[covered].astype(int).tolist()
        return [Box(left, top, right - left, bottom - top) for left, top, right, bottom in boxes]


def _same_place(edges: npt.NDArray[np.float64], box: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of several boxes stand on the same line as one, and share half of the narrower one's width with it."""
    left, top, right, bottom = edges.T
    slack = max(_SAME_PLACE * (box[3] - box[1]), 2)
    shared = np.minimum(right, box[2]) - np.maximum(left, box[0])
    aside = shared >= 0.5 * np.minimum(right - left, box[2] - box[0])
    return np.asarray((abs(top - box[1]) <= slack) & (abs(bottom - box[3]) <= slack) & aside)


class Redactor:
    """Blackens what lies outside the field of view and covers text inside it. Passive and not thread-safe.

    It takes frames in their order, right after capture, so that nothing behind it sees what it covers. It finds the
    field of view itself, from unredacted pictures. What is let out is both in the field as many frames agree on it and
    in the outline of what is lit in this very frame: it shrinks at once, and grows when that is agreed on.
    """

    def __init__(self) -> None:
        self._field = FieldOfView()
        self._places = _Places()
        self._size = (0, 0)
        self._strokes: FloatArray | None = None
        self._behind: UInt8Array | None = None
        self._tiny: UInt8Array | None = None

    def __call__(self, image: UInt8Array, pts_seconds: float) -> UInt8Array | None:
        """Redact the next frame.

        Args:
            image: uint8 ``[H, W, 3]``, BGR; only read.
            pts_seconds: Its stream time.

        Returns:
            A fresh picture, or None as long as the field of view has not been found: then nothing may be let out.
        """
        height, width = image.shape[:2]
        if (width, height) != self._size:
            self._size, self._places, self._strokes, self._behind = (width, height), _Places(), None, None
        box = self._field.find(image)
        outline = self._field.outline
        if outline is None:
            return None
        inside = _filled(outline, width, height) & _filled(lit_outline(image), width, height)
        for text in self._text(image, box, pts_seconds):
            inside[text.slices] = 0
        redacted = np.zeros_like(image)
        cv2.copyTo(image, inside, redacted)
        return redacted

    def _text(self, image: UInt8Array, box: Box, pts_seconds: float) -> list[Box]:
        """Where text is or was a moment ago, in frame pixels."""
        factor = max(image.shape[0] / _ROWS, 0.25)
        size = max(round(box.width / factor), 8), max(round(box.height / factor), 8)
        small = np.asarray(cv2.resize(image[box.slices], size, interpolation=cv2.INTER_AREA), np.uint8)
        bright = _strokes(small, *_LOOKS[0])
        changed = self._changed(small)
        found = find_text(bright) + self._still(small, bright)
        found += [text for look in _LOOKS[1:] for text in find_text(_strokes(small, *look))]
        scaled = [each for text in found if (each := _scaled(text, size, box)) is not None]
        return self._places.update(scaled, pts_seconds, changed=changed)

    def _changed(self, small: UInt8Array) -> bool:
        tiny = np.asarray(cv2.resize(small, (32, 32), interpolation=cv2.INTER_AREA), np.uint8)
        before, self._tiny = self._tiny, tiny
        return before is None or float(np.mean(cv2.absdiff(before, tiny))) >= _CHANGED

    def _still(self, small: UInt8Array, strokes: UInt8Array) -> list[Box]:
        """Strokes that have stayed where they are while the picture moved."""
        mark = (strokes > 0).astype(np.float32)
        green = np.ascontiguousarray(small[..., 1])
        if self._strokes is None or self._behind is None or self._strokes.shape != mark.shape:
            self._strokes, self._behind = np.zeros_like(mark), green
            return []
        if float(cv2.mean(cv2.absdiff(green, self._behind))[0]) >= _MOVED:
            cv2.accumulateWeighted(mark, self._strokes, _STILL_WEIGHT)
            self._behind = green
        fixed = (self._strokes >= _STILL_MEAN).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(fixed, np.ones((5, 5), np.uint8)), connectivity=8)
        boxes = [Box(*row[: cv2.CC_STAT_AREA]) for row in stats[1:].tolist()]
        return [each for each in boxes if max(each.width, each.height) >= _LOW + 4]  # the dilation adds four


def _filled(outline: npt.NDArray[np.int32] | None, width: int, height: int) -> UInt8Array:
    """uint8 ``[height, width]``: 255 inside the convex outline, 0 elsewhere."""
    mask = np.zeros((height, width), np.uint8)
    if outline is not None:
        cv2.fillConvexPoly(mask, outline, 255)
    return mask


def _strokes(small: UInt8Array, kind: int, channel: int) -> UInt8Array:
    """Thin strokes that are brighter (top hat) or darker (black hat) than what is around them, in one channel.

    One by one: in the channel that a colour lacks, the gaps between letters look like strokes.

    Returns:
        uint8 ``[h, w]`` with 0 and 255.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_STROKE, _STROKE))
    hat = cv2.morphologyEx(np.ascontiguousarray(small[..., channel]), kind, kernel)
    return np.asarray(cv2.threshold(hat, _CONTRAST - 1, 255, cv2.THRESH_BINARY)[1], np.uint8)


def find_text(strokes: UInt8Array) -> list[Box]:
    """Rows of at least three letters.

    Args:
        strokes: uint8 ``[h, w]`` with 0 and 255: where thin strokes are, at about 480 rows to the frame.

    Returns:
        Their boxes, with a margin, inside the picture.
    """
    letters = _letters(strokes)
    height, width = strokes.shape
    boxes = [_around(row) for row in _rows(letters) if _is_text(row)]
    return [clipped for box in boxes if (clipped := box.clipped_to(width, height)) is not None]


def _letters(strokes: UInt8Array) -> list[_Letter]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    depth = cv2.distanceTransform(strokes, cv2.DIST_L2, 3)
    letters: list[_Letter] = []
    for label, (x, y, width, height, area) in enumerate(stats.tolist()):
        if label == 0 or not _LOW <= height <= _HIGH or width > _WIDEST * height:
            continue
        # an upright bar, such as I or 1, may fill its box
        if area > _FULLEST * width * height and height < 2 * width:
            continue
        rows, columns = slice(y, y + height), slice(x, x + width)
        stroke = float(depth[rows, columns][labels[rows, columns] == label].max())
        letters.append(_Letter(x, y, width, height, stroke))
    return letters


def _rows(letters: Sequence[_Letter]) -> list[list[_Letter]]:
    """Letters that stand side by side, put together."""
    rows: list[list[_Letter]] = []
    for letter in sorted(letters, key=lambda each: each.x):
        row = next((row for row in rows if any(letter.joins(each) for each in row[-3:])), None)
        if row is None:
            rows.append([letter])
        else:
            row.append(letter)
    return rows


def _is_text(row: Sequence[_Letter]) -> bool:
    """Enough of them, on one line, and as wide together as a word is."""
    if len(row) < _LEAST_IN_ROW:
        return False
    height = float(np.median([letter.height for letter in row]))
    bottoms = np.array([letter.y + letter.height for letter in row])
    tops = np.array([letter.y for letter in row])
    # letters share a base line, or digits and capitals a top line; reflections share neither
    off = min(float(np.median(np.abs(edge - np.median(edge)))) for edge in (bottoms, tops))
    return off <= max(0.12 * height, 1.0)


def _around(row: Sequence[_Letter]) -> Box:
    padding = round(_PADDING * max(letter.height for letter in row)) + 2
    left, top = min(letter.x for letter in row) - padding, min(letter.y for letter in row) - padding
    right = max(letter.x + letter.width for letter in row) + padding
    bottom = max(letter.y + letter.height for letter in row) + padding
    return Box(left, top, right - left, bottom - top)


def _scaled(text: Box, size: tuple[int, int], box: Box) -> Box | None:
    """From the small copy of the field to the frame; whole pixels are covered."""
    across, down = box.width / size[0], box.height / size[1]
    left, top = box.x + int(text.x * across), box.y + int(text.y * down)
    right, bottom = box.x + -int(-text.right * across // 1), box.y + -int(-text.bottom * down // 1)
    return Box(left, top, right - left, bottom - top).clipped_to(box.right, box.bottom)
