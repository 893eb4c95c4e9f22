"""Data folders for the evaluation's tests: what the tiny model says of each picture is known."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

UInt8Array = npt.NDArray[np.uint8]
DataWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def write_data() -> DataWriter:
    """Writes a data folder: ``write_data(folder, name=(prediction, truth), ...) -> folder``.

    The tiny model's answer to each picture is the prediction: it is the red channel.
    """

    def write(folder: Path, **pictures: tuple[UInt8Array, UInt8Array]) -> Path:
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for name, (prediction, truth) in pictures.items():
            black = np.zeros_like(prediction)
            cv2.imwrite(str(folder / "images" / f"{name}.png"), cv2.merge([black, black, prediction]))
            cv2.imwrite(str(folder / "masks" / f"{name}.png"), truth)
        return folder

    return write
