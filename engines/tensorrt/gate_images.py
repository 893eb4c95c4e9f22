"""The pictures that the accuracy gate runs on, and that int8 is calibrated on."""

from pathlib import Path

import cv2
import numpy as np

from rt_seg.engines.resize import resize_image
from rt_seg.engines.samples import load_samples
from rt_seg.engines.spec import ModelSpec
from rt_seg.errors import DataError

from .gate import GateImage

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})


def read_gate_images(folder: Path | None, spec: ModelSpec) -> tuple[GateImage, ...]:
    """Read pictures and bring them to a model's size.

    Args:
        folder: A data folder (``images/`` in it is taken) or a folder of pictures; None: the samples of the package.
        spec: Of the model.

    Raises:
        DataError: There is no such folder, no picture in it, or one that cannot be read.
    """
    if folder is None:
        pictures = [(sample.name, sample.image) for sample in load_samples()]
    else:
        pictures = [(path.stem, _read(path)) for path in _find(folder)]
    size = (spec.width, spec.height, spec.interpolation)
    return tuple(GateImage(name, resize_image(picture, *size)) for name, picture in pictures)


def _find(folder: Path) -> list[Path]:
    place = folder / "images" if (folder / "images").is_dir() else folder
    if not place.is_dir():
        raise DataError(f"{folder}: is not a folder; give a data folder or a folder of pictures")
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise DataError(f"{place}: holds no picture ({', '.join(sorted(_SUFFIXES))})")
    return paths


def _read(path: Path) -> np.typing.NDArray[np.uint8]:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as exc:
        raise DataError(f"{path}: cannot be read ({exc})") from exc
    if picture is None:
        raise DataError(f"{path}: cannot be read as a picture; replace or remove it")
    return picture.astype(np.uint8, copy=False)
