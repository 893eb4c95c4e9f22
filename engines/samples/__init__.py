"""Five endoscope stills with their true masks, for gates and tests: `load_samples`. See ATTRIBUTION.md."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import DataError

UInt8Array = npt.NDArray[np.uint8]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    """A still and its truth.

    Attributes:
        name: Name of the still in PolypGen.
        image: uint8 ``[H, W, 3]``, BGR.
        mask: uint8 ``[H, W]``, 255 where there is polyp, else 0; empty in one of the samples.
    """

    name: str
    image: UInt8Array = field(repr=False)
    mask: UInt8Array = field(repr=False)


def load_samples() -> tuple[Sample, ...]:
    """Read all samples, in the order of their names.

    Raises:
        DataError: A file is missing or broken: the package is not installed whole.
    """
    return tuple(_load(path) for path in sorted(_FOLDER.glob("*.jpg")))


def _load(path: Path) -> Sample:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    mask = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
    if image is None or mask is None or image.shape[:2] != mask.shape:
        raise DataError(f"{path}: the sample or its mask is broken; install rt-seg again")
    return Sample(path.stem, np.asarray(image, dtype=np.uint8), np.asarray(mask, dtype=np.uint8))
