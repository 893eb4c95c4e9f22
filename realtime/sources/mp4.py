"""The boxes of an MP4 or QuickTime file: the outermost tell what is missing when FFmpeg only says "invalid data"."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_HEADER = 8  # bytes: length and kind

# kinds a file may begin with (ISO/IEC 14496-12, table 1, and QuickTime's wide)
_FIRST_KINDS = frozenset({b"ftyp", b"mdat", b"free", b"skip", b"wide", b"moov", b"styp", b"moof", b"uuid", b"pdin"})


@dataclass(frozen=True, slots=True)
class Mp4Layout:
    """What stands at the top level of a file.

    Attributes:
        is_mp4: It begins with a box.
        has_index: A whole ``moov``.
        is_fragmented: At least one ``moof``, as in files that are written while they are recorded.
        ends_within_fragment_index: The last ``moof``, or a box too short to tell, runs past the file's end.
    """

    is_mp4: bool
    has_index: bool
    is_fragmented: bool
    ends_within_fragment_index: bool

    @property
    def lost_index(self) -> bool:
        """Whether the ``moov`` is missing or cut off: FFmpeg makes do with what is left of it, and says nothing."""
        return self.is_mp4 and not self.has_index


def read_layout(path: Path) -> Mp4Layout:
    """Walk the boxes of a file; reads a few bytes of each.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    boxes: list[tuple[bytes, bool]] = []  # kind, and whether it is whole
    with path.open("rb") as file:
        for kind, _, end in walk_boxes(file, 0, size):
            if not boxes and kind and kind not in _FIRST_KINDS:
                break
            boxes.append((kind, bool(kind) and end <= size))
    kinds = {kind for kind, _ in boxes}
    return Mp4Layout(
        is_mp4=bool(boxes),
        has_index=(b"moov", True) in boxes,
        is_fragmented=b"moof" in kinds,
        ends_within_fragment_index=b"moof" in kinds and boxes[-1] in {(b"moof", False), (b"", False)},
    )


def walk_boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places of a file, those inside them left out; reads a few bytes of each.

    Args:
        file: Open for reading; its position is moved.
        start: Where the first begins.
        end: Where the last should end.

    Yields:
        Kind, start and end of each. A cut-off box ends beyond `end`; of one that ends within its header the kind is
        empty.
    """
    while start < end:
        file.seek(start)
        header = file.read(2 * _HEADER)
        if min(end - start, len(header)) < _HEADER:
            yield b"", start, end
            return
        length, kind = int.from_bytes(header[:4]), header[4:_HEADER]
        length = int.from_bytes(header[_HEADER:]) if length == 1 else length or end - start
        yield kind, start, start + length
        start += max(length, _HEADER)
