"""The packaged demo clip and its ground-truth masks: `demo_video`, `demo_masks`.

`make_demo` makes both; ATTRIBUTION.md says of what, and under which licence.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

_FOLDER = Path(__file__).parent


def demo_video() -> Path:
    """The demo clip: H.264 in MP4, 1280x720, 25 frames a second, no audio."""
    return _FOLDER / "demo.mp4"


def demo_masks(step: int = 1) -> Iterator[UInt8Array]:
    """Deliver the true masks of the demo clip, in order.

    Args:
        step: Of every so many frames the first one's.

    Yields:
        uint8 ``[720, 1280]``, 255 where there is polyp, else 0; each a fresh array.
    """
    with np.load(_FOLDER / "demo_masks.npz", allow_pickle=False) as file:
        height, width = (int(side) for side in file["shape"])
        gaps, counts = file["gaps"], file["counts"]
    ends = np.cumsum(counts)
    for start, end in zip((ends - counts)[::step], ends[::step], strict=True):
        yield decode_runs(gaps[start:end], height, width)


def encode_runs(mask: UInt8Array) -> npt.NDArray[np.uint32]:
    """Describe a binary mask by the lengths of its runs, row by row: background first, then polyp, and so on.

    Args:
        mask: uint8 ``[H, W]``; every value but 0 is polyp.

    Returns:
        uint32 ``[runs]``; the last run reaches to the end and is left out, so an empty mask has none.
    """
    flat = (mask != 0).ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=np.False_))
    return np.diff(edges, prepend=0).astype(np.uint32)


def decode_runs(runs: npt.NDArray[np.uint32], height: int, width: int) -> UInt8Array:
    """Rebuild the mask that `encode_runs` described.

    Args:
        runs: uint32 ``[runs]``.
        height: Height of the mask in pixels.
        width: Width of the mask in pixels.

    Returns:
        uint8 ``[height, width]`` with 0 and 255.
    """
    lengths = np.append(runs, height * width - int(runs.sum()))
    values = np.zeros(len(lengths), np.uint8)
    values[1::2] = 255
    return np.repeat(values, lengths).reshape(height, width)
