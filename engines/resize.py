"""The one resize of rt-seg: what is trained, measured and deployed goes through here."""

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.geometry import Geometry
from rt_seg.engines.spec import Interpolation

UInt8Array = npt.NDArray[np.uint8]


def resize_image(
    image: UInt8Array, width: int, height: int, interpolation: Interpolation = "supersampled"
) -> UInt8Array:
    """Stretch a picture to the size of a model's input.

    ``supersampled`` is bilinear to twice the size (`resize_double`), then the mean of each 2x2 block: bilinear alone
    skips pixels when a 1080p picture becomes 256 wide, and cv2's INTER_AREA over the full frame costs ten times as
    much.

    Args:
        image: uint8 ``[H, W, 3]`` or ``[H, W]``, any channel order; a view with strides is fine.
        width: Target width in pixels.
        height: Target height in pixels.
        interpolation: ``supersampled`` or ``linear``.

    Returns:
        uint8 ``[height, width, 3]`` or ``[height, width]``, a fresh contiguous array.
    """
    if interpolation == "linear":
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    double = resize_double(image, width, height)
    return np.asarray(cv2.resize(double, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def resize_double(image: UInt8Array, width: int, height: int) -> UInt8Array:
    """Stretch a picture to twice the size of a model's input: the first half of ``supersampled``.

    Of a picture that is still twice as high, only every second row is read (of one three times as high every third):
    as many rows count as without, in 3/4 of the time, and what is seen comes to lie half a row of the picture higher.

    Args:
        image: uint8 ``[H, W, 3]`` or ``[H, W]``, any channel order; a view with strides is fine.
        width: Width of the model's input in pixels.
        height: Height of the model's input in pixels.

    Returns:
        uint8 ``[2 * height, 2 * width, 3]`` or ``[2 * height, 2 * width]``.
    """
    rows = image[:: max(len(image) // (2 * height), 1)]
    return np.asarray(cv2.resize(rows, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def probability_at_source(probability: UInt8Array, geometry: Geometry) -> UInt8Array:
    """Stretch an engine's answer back over the part of the picture that it saw.

    Args:
        probability: uint8 ``[h, w]``.
        geometry: Where its pixels lie in the picture.

    Returns:
        uint8 ``[H, W]``, zero outside that part.
    """
    region = geometry.region
    whole = np.zeros((geometry.frame_height, geometry.frame_width), np.uint8)
    whole[region.slices] = cv2.resize(probability, (region.width, region.height), interpolation=cv2.INTER_LINEAR)
    return whole


def resize_mask(mask: UInt8Array, width: int, height: int) -> UInt8Array:
    """Stretch a binary mask (0 and 255) and keep it binary: averaged, then cut at one half.

    Args:
        mask: uint8 ``[H, W]`` with 0 and 255.
        width: Target width in pixels.
        height: Target height in pixels.

    Returns:
        uint8 ``[height, width]`` with 0 and 255.
    """
    shrinks = width * height < mask.shape[0] * mask.shape[1]
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(mask, (width, height), interpolation=mode)
    return np.where(resized > 127, np.uint8(255), np.uint8(0))
