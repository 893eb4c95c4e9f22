"""`MasksSink`: one PNG a frame, 0 and 255, at source resolution."""

import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import OutputError
from rt_seg.realtime.frame import Rendered
from rt_seg.realtime.regions import frame_mask

from .files import check_output_folder, output_error

UInt8Array = npt.NDArray[np.uint8]

_MASK_NAME = re.compile(r"\d{6,}\.png")
# Large flat areas: without row filters and with run lengths only, a 1080p mask takes 3.6 ms and 3.7 kB; with OpenCV's
# defaults 4.4 ms and 6.2 kB; with the level alone set, 14 ms and 13 kB.
_PNG_OPTIONS = [
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_NONE,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
]


def encode_mask(mask: UInt8Array) -> bytes:
    """A mask as the bytes of a PNG.

    Args:
        mask: uint8 ``[H, W]`` with 0 and 255.
    """
    # to memory, not by imwrite: that would say no more than False when the disk is full
    return cv2.imencode(".png", mask, _PNG_OPTIONS)[1].tobytes()


class MasksSink:
    """Writes ``000000.png`` and so on, named by `Frame.index`. Passive and not thread-safe.

    A frame without a mask gets no file: a black one would say that nothing was found.

    Args:
        path: The folder; made with the first frame if it is missing, but its parent must be there.
        source: The input file or folder, which must not be the same folder.

    Raises:
        OutputError: It cannot be written, holds the input, or holds masks already: those of two runs would mix.
    """

    def __init__(self, path: Path, source: Path | None = None) -> None:
        check_output_folder(path, source)
        if path.is_dir() and any(_MASK_NAME.fullmatch(entry.name) for entry in path.iterdir()):
            raise OutputError(f"{path}: holds masks of another run; empty it or choose another folder")
        self._path = path

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return "masks"

    @property
    def path(self) -> Path:
        """See `Sink.path`."""
        return self._path

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Sink.notes`."""
        return ()

    def write(self, rendered: Rendered) -> None:
        """See `Sink.write`."""
        if rendered.segmentation is None:
            return
        mask = frame_mask(rendered.segmentation)
        file = self._path / f"{rendered.frame.index:06d}.png"
        data = encode_mask(mask)
        try:
            self._path.mkdir(exist_ok=True)
            file.write_bytes(data)
        except OSError as exc:
            error = output_error(file, exc)
            _remove(file)
            raise error from exc

    def close(self) -> None:
        """Each mask is whole once it is written: nothing is left to do."""


def _remove(file: Path) -> None:
    """Take away half a mask."""
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return
