"""Pairs of image and mask on disk: finding, checking, splitting, reading."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.errors import DataError

UInt8Array = npt.NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask.

    Attributes:
        name: Path of the image in the data, without suffix: ``FOLDER/STEM``.
        image: The image file.
        mask: The mask file: polyp where brighter than half.
    """

    name: str
    image: Path
    mask: Path

    @property
    def stem(self) -> str:
        """Base name without suffix."""
        return self.image.stem


def find_pairs(folders: Iterable[Path]) -> list[Pair]:
    """All pairs of data folders, each with ``images/`` and ``masks/`` holding the same base names.

    Returns:
        Pairs in the order of the folders, within a folder by name.

    Raises:
        DataError: A folder is missing or empty, or an image or a mask is without its partner.
    """
    return [pair for folder in folders for pair in _pairs_of(folder)]


def _pairs_of(folder: Path) -> list[Pair]:
    images, masks = _files(folder / "images"), _files(folder / "masks")
    for kind, having, lacking in (("mask", images, masks), ("image", masks, images)):
        alone = sorted(having.keys() - lacking.keys())
        if alone:
            raise DataError(
                f"{having[alone[0]]} has no {kind} of that base name ({len(alone)} such in {folder}); add or remove"
            )
    prefix = "/".join(folder.resolve().parts[-2:])
    return [Pair(f"{prefix}/{stem}", images[stem], masks[stem]) for stem in sorted(images)]


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; a data folder holds images/ and masks/")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in files:
            raise DataError(f"{path} and {files[path.stem].name} have the same base name; keep one")
        files[path.stem] = path
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(SUFFIXES)})")
    return files


def read_list(path: Path) -> list[str]:
    """Names of a split list: one a line, a base name or the end of a path such as ``polypgen/C1/NAME``.

    Raises:
        DataError: Unreadable or empty.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: cannot be read as a list of names ({exc})") from exc
    if not names:
        raise DataError(f"{path}: the list is empty; put one image name on each line")
    return names


def select(pairs: Sequence[Pair], names: Sequence[str], origin: Path) -> list[Pair]:
    """The pairs that a list names.

    Args:
        pairs: Where to look.
        names: What `read_list` gave: base names or ends of paths.
        origin: The list's file, for messages.

    Raises:
        DataError: A name that no pair has, or that several have.
    """
    by_name: dict[str, list[Pair]] = {}
    for pair in pairs:
        parts = pair.name.split("/")
        for start in range(len(parts)):
            by_name.setdefault("/".join(parts[start:]), []).append(pair)
    absent = [name for name in names if name not in by_name]
    if absent:
        raise DataError(f"{origin}: names {len(absent)} images that the data folders lack, such as {absent[0]}")
    for name in names:
        if len(by_name[name]) > 1:
            raise DataError(f"{origin}: {name} is in several data folders; write FOLDER/{name}")
    return [by_name[name][0] for name in dict.fromkeys(names)]


def read_image(path: Path) -> UInt8Array:
    """Read a picture.

    Returns:
        uint8 ``[H, W, 3]``, BGR.

    Raises:
        DataError: Unreadable, or not 8 bits a channel.
    """
    return _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)


def read_mask(path: Path) -> UInt8Array:
    """Read a mask; JPEG masks with their grey edges are cut at one half.

    Returns:
        uint8 ``[H, W]`` with 0 and 255.

    Raises:
        DataError: Unreadable, or not 8 bits a channel.
    """
    mask = _decode(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if mask.max() == 1:
        raise DataError(f"{path}: holds the values 0 and 1; masks are 0 and 255, multiply it by 255")
    return np.where(mask > 127, np.uint8(255), np.uint8(0))


def read_pair(pair: Pair) -> tuple[UInt8Array, UInt8Array]:
    """Read image and mask, as `read_image` and `read_mask` do.

    Raises:
        DataError: Either is unusable, or their sizes differ.
    """
    image, mask = read_image(pair.image), read_mask(pair.mask)
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{pair.image} is {image.shape[1]}x{image.shape[0]} but its mask is {mask.shape[1]}x{mask.shape[0]}; "
            "they must have the same size"
        )
    return image, mask


def _decode(path: Path, flags: int) -> UInt8Array:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        colours = _jpeg_colours(data.tobytes())
        image = cv2.imdecode(data, flags) if data.size else None
    except (OSError, cv2.error) as exc:
        raise DataError(f"{path}: cannot be read ({exc})") from exc
    if colours == 4:
        raise DataError(f"{path}: is a CMYK picture, whose colours are not those of a screen; convert it to RGB")
    if image is None:
        raise DataError(f"{path}: cannot be read as an image; replace or remove it")
    if image.dtype != np.uint8:
        raise DataError(f"{path}: has {image.dtype.itemsize * 8} bits a channel; convert it to 8")
    return image.astype(np.uint8, copy=False)


def _jpeg_colours(data: bytes) -> int:
    """Number of colour components in the frame header of a JPEG; 0 for other files (ITU-T T.81, B.2.2)."""
    position = 2
    while data[:2] == b"\xff\xd8" and position + 10 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[position + 9]
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return 0
