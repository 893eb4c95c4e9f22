"""Synthetic training data and one tiny run, shared by the tests of training and export."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

FolderWriter = Callable[..., Path]


def draw_pair(rng: np.random.Generator, size: int, *, polyp: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A reddish picture with a bright ellipse, and the ellipse as mask."""
    image = np.empty((size, size, 3), np.uint8)
    image[:] = rng.integers((30, 40, 110), (60, 80, 160))
    mask = np.zeros((size, size), np.uint8)
    if polyp:
        centre = tuple(int(v) for v in rng.integers(size // 3, 2 * size // 3, 2))
        axes = tuple(int(v) for v in rng.integers(size // 8, size // 4, 2))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        image[mask > 0] = (130, 170, 235)
    return cv2.add(image, rng.integers(0, 20, image.shape, np.uint8)).astype(np.uint8), mask


@pytest.fixture(scope="session")
def write_folder() -> FolderWriter:
    """Writes a data folder of synthetic pairs: ``write_folder(folder, count, size=96, polyp_free=0) -> folder``."""

    def write(folder: Path, count: int, size: int = 96, polyp_free: int = 0) -> Path:
        rng = np.random.default_rng(count)
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True)
        for number in range(count):
            image, mask = draw_pair(rng, size, polyp=number >= polyp_free)
            cv2.imwrite(str(folder / "images" / f"{number:03d}.jpg"), image)
            cv2.imwrite(str(folder / "masks" / f"{number:03d}.png"), mask)
        return folder

    return write


@pytest.fixture(scope="session")
def data_folder(write_folder: FolderWriter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten synthetic pairs, two of them without a polyp; read-only."""
    return write_folder(tmp_path_factory.mktemp("data") / "polyps", 10, polyp_free=2)


@pytest.fixture(scope="session")
def tiny_run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs on ten pictures of 64x64; read-only."""
    from rt_seg.train.config import TrainingConfig
    from rt_seg.train.run import start_run

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    config = TrainingConfig(
        (str(data_folder),),
        "unet",
        validation="0.3",
        image_size=64,
        epochs=2,
        batch_size=4,
        base_filters=4,
        average=0.5,
    )
    start_run(config, folder, resume=False, console=Console(quiet=True))
    return folder
