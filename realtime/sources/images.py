"""`ImageSource`: a folder, a pattern or one picture, as a video of stills."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import SourceError, SourceInterrupted
from rt_seg.realtime.frame import Frame

from .opencv_log import quiet_opencv
from .selection import Selection
from .source import SourceInfo

UInt8Array = npt.NDArray[np.uint8]

NOMINAL_FPS = Fraction(25)
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_DIGITS = re.compile(r"(\d+)")


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key by which ``frame2`` comes before ``frame10``; letters without regard to case."""
    parts = _DIGITS.split(str(path).casefold())
    # the length first compares numbers of any size without leading zeros, as int() would
    return [(len(part.lstrip("0")) if part.isdecimal() else 0, part.lstrip("0") or part) for part in parts], str(path)


def images_among(paths: Iterable[Path]) -> list[Path]:
    """The image files among paths (by suffix, hidden ones left out), in natural order."""
    found = (path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))
    return sorted((path for path in found if path.is_file()), key=natural_order)


def read_image(path: Path) -> UInt8Array:
    """Read a picture as a person would see it.

    Args:
        path: Grey or colour, 8 or 16 bits, with or without alpha; turned by its EXIF orientation.

    Returns:
        uint8 ``[H, W, 3]``, BGR. Alpha is dropped, 16 bits are scaled to 8.

    Raises:
        SourceError: It is missing or no picture.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
        with quiet_opencv():
            image = cv2.imdecode(data, cv2.IMREAD_COLOR_BGR) if data.size else None
    except (OSError, cv2.error) as exc:
        raise SourceError(f"{path}: cannot be read ({_reason(exc)}); remove it or write it again") from exc
    if image is None:
        raise SourceError(f"{path}: not a picture that can be decoded; remove it or write it again")
    return np.asarray(image, dtype=np.uint8)


def _reason(error: Exception) -> str:
    return error.strerror or "no reason given" if isinstance(error, OSError) else "OpenCV refuses it"


class ImageSource:
    """Stills one after another, at a nominal rate; each keeps its own size. Passive and not thread-safe.

    Args:
        paths: At least one picture, in order.
        selection: Which part of them; all if None.
        name: For people.
        fps: Nominal frames a second: picture i is shown at ``i / fps``.

    Raises:
        SourceError: There is none, the first selected one cannot be read, or the selected part holds none.
    """

    def __init__(
        self, paths: Sequence[Path], selection: Selection | None = None, *, name: str, fps: Fraction = NOMINAL_FPS
    ) -> None:
        self._selection = selection or Selection()
        self._fps = fps
        stamped = [(float(number / fps), path) for number, path in enumerate(paths)]
        chosen = [item for item in stamped if self._selection.reached(item[0])]
        if not chosen:
            end = float(len(paths) / fps)
            start = self._selection.start
            raise SourceError(f"{name}: start is {start:g} s, but it ends at {end:.2f} s; choose an earlier start")
        chosen = [item for item in chosen if not self._selection.ends_before(item[0])][: self._selection.limit]
        if not chosen:
            raise SourceError(f"{name}: {self._selection.emptiness}")
        height, width = read_image(chosen[0][1]).shape[:2]
        self.info = SourceInfo(
            name=name,
            kind="images",
            live=False,
            width=int(width),
            height=int(height),
            fps=float(fps),
            frame_count=len(chosen),
            time_base=1 / fps,
            path=paths[0].parent,
            start_seconds=self._selection.start,
        )
        self._remaining: Iterator[tuple[int, tuple[float, Path]]] = enumerate(chosen)

    def __iter__(self) -> Iterator[Frame]:
        """Deliver the pictures; see `Source.__iter__`. A second iteration goes on where the first stopped."""
        for index, (seconds, path) in self._remaining:
            try:
                image = read_image(path)
            except SourceError as exc:
                message = f"{exc}: picture {index}, at {seconds:.2f} s; the pictures before it were kept"
                raise SourceInterrupted(message) from exc
            yield Frame(index, seconds, time.perf_counter_ns(), image, given_away=True)

    def close(self) -> None:
        """Deliver nothing more; a second call does nothing."""
        self._remaining = iter(())
