"""What stands in the fragments of an MP4 that was not finished."""

from pathlib import Path
from typing import BinaryIO

from rt_seg.realtime.sources.mp4 import walk_boxes


def count_pictures(path: Path) -> int:
    """Pictures in the fragments of a file that `VideoSink` wrote; reads a few bytes of each.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        fragments = [box for box in walk_boxes(file, 0, path.stat().st_size) if box[0] == b"moof"]
        return sum(_samples(file, start + 8, end) for _, start, end in fragments)


def _samples(file: BinaryIO, start: int, end: int) -> int:
    """Samples of the first track, the picture, that a ``moof`` lists (ISO/IEC 14496-12, 8.8.6 to 8.8.8)."""
    count = 0
    for kind, inner, inner_end in walk_boxes(file, start, end):
        if kind == b"traf":
            count += _samples(file, inner + 8, inner_end)
        elif kind == b"tfhd" and _number(file, inner + 12) != 1:
            return 0
        elif kind == b"trun":
            count += _number(file, inner + 12)
    return count


def _number(file: BinaryIO, place: int) -> int:
    file.seek(place)
    return int.from_bytes(file.read(4))
