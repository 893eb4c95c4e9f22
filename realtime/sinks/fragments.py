"""What stands in the fragments of an MP4 that was not finished."""

from pathlib import Path
from typing import BinaryIO


def count_pictures(path: Path) -> int:
    """Pictures in the fragments of a file that `VideoSink` wrote; reads a few bytes of each.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        fragments = [box for box in _boxes(file, 0, path.stat().st_size) if box[2] == b"moof"]
        return sum(_samples(file, start + 8, end) for start, end, _ in fragments)


def _samples(file: BinaryIO, start: int, end: int) -> int:
    """Samples of the first track, the picture, that a ``moof`` lists (ISO/IEC 14496-12, 8.8.6 to 8.8.8)."""
    count = 0
    for inner, inner_end, kind in _boxes(file, start, end):
        if kind == b"traf":
            count += _samples(file, inner + 8, inner_end)
        elif kind == b"tfhd" and _number(file, inner + 12) != 1:
            return 0
        elif kind == b"trun":
            count += _number(file, inner + 12)
    return count


def _boxes(file: BinaryIO, start: int, end: int) -> list[tuple[int, int, bytes]]:
    """Start, end and kind of each box between two places."""
    boxes: list[tuple[int, int, bytes]] = []
    while start + 8 <= end:
        file.seek(start)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        length = int.from_bytes(header[8:16]) if length == 1 else length or end - start
        boxes.append((start, start + length, kind))
        start += max(length, 8)
    return boxes


def _number(file: BinaryIO, place: int) -> int:
    file.seek(place)
    return int.from_bytes(file.read(4))
