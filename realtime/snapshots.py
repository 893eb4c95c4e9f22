"""`Snapshots`: the best frame of each sighting, with and without overlay."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import OutputError

from .sightings import Sighting, Tracking
from .sinks.files import check_output_folder, output_error

UInt8Array = npt.NDArray[np.uint8]

_MOST = 8  # sightings that are held at once: at 1080p 12 MB each
_COMPRESSION = 1  # of PNG: the quickest, and as lossless as the others


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frame worth keeping.

    Attributes:
        name: Base name of its files.
        image: uint8 ``[H, W, 3]``, BGR, without overlay.
        overlay: The same with overlay.
    """

    name: str
    image: UInt8Array = field(repr=False)
    overlay: UInt8Array = field(repr=False)


class Snapshots:
    """Holds one candidate for each open sighting, in bounded memory. Passive and not thread-safe.

    Keeping is cheap and for the thread that draws; `write_snapshot` is slow and for another one.
    """

    def __init__(self) -> None:
        self._candidates: dict[int, Snapshot] = {}

    def keep(self, tracking: Tracking, index: int, image: UInt8Array, overlay: UInt8Array) -> None:
        """Take a frame for the sightings that no earlier one shows better; copied only if there are any.

        Where too many sightings are open at once the oldest goes without a snapshot.

        Args:
            tracking: What `SightingTracker.update` said of the frame.
            index: The frame's index.
            image: uint8 ``[H, W, 3]``, BGR, without overlay: redacted, where that is asked for.
            overlay: The same with overlay.
        """
        if not tracking.improved:
            return
        image, overlay = image.copy(), overlay.copy()
        for number in tracking.improved:
            self._candidates.pop(number, None)  # the newest stands last
            self._candidates[number] = Snapshot(f"sighting_{number:04d}_frame_{index:06d}", image, overlay)
        while len(self._candidates) > _MOST:
            self._candidates.pop(next(iter(self._candidates)))

    def finish(self, sighting: Sighting) -> Snapshot | None:
        """Hand out the best frame of a sighting that is over, and forget it; None where none was held."""
        return self._candidates.pop(sighting.id, None)


def check_snapshot_folder(folder: Path, source: Path | None = None) -> None:
    """Refuse a folder that could not be written to, before any work is done.

    Raises:
        OutputError: With what to do instead.
    """
    check_output_folder(folder, source)


def write_snapshot(folder: Path, snapshot: Snapshot) -> tuple[Path, Path]:
    """Write ``NAME.png`` and ``NAME_overlay.png``; the folder is made if it is missing. Thread-safe.

    Returns:
        The two files.

    Raises:
        OutputError: They cannot be written; no half file stays behind.
    """
    paths = folder / f"{snapshot.name}.png", folder / f"{snapshot.name}_overlay.png"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise output_error(folder, exc) from exc
    for path, image in zip(paths, (snapshot.image, snapshot.overlay), strict=True):
        _write_png(path, image)
    return paths


def _write_png(path: Path, image: UInt8Array) -> None:
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded as PNG")
    try:
        path.write_bytes(data.tobytes())
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise output_error(path, exc) from exc
