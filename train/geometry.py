"""Geometric augmentation: one affine warp for image and mask, sampled as deployment's resize samples."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Warp:
    """An affine map of the picture onto itself, about its centre.

    Attributes:
        matrix: float64 ``[2, 3]``, from source to target pixels (pixel centres at whole numbers, as cv2 counts).
        reflect: What lies beyond the picture: its mirror image, or black.
    """

    matrix: npt.NDArray[np.float64]
    reflect: bool

    def apply(self, image: UInt8Array, mask: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
        """Warp both, which have twice the target size, and halve them.

        The identity gives what `resize_image` with ``supersampled`` gives: bilinear first, then the mean of 2x2 blocks.

        Args:
            image: uint8 ``[2h, 2w, 3]``.
            mask: uint8 ``[2h, 2w]``, 0 and 255.

        Returns:
            uint8 ``[h, w, 3]``, and uint8 ``[h, w]`` with 0 and 255.
        """
        height, width = mask.shape
        border = cv2.BORDER_REFLECT_101 if self.reflect else cv2.BORDER_CONSTANT
        half = (width // 2, height // 2)
        pictures = [
            cv2.resize(
                cv2.warpAffine(picture, self.matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border),
                half,
                interpolation=cv2.INTER_AREA,
            )
            for picture in (image, mask)
        ]
        binary = np.where(pictures[1] > 127, np.uint8(255), np.uint8(0))
        return pictures[0].astype(np.uint8, copy=False), binary


def identity_warp() -> Warp:
    """The warp that changes nothing."""
    return Warp(np.eye(2, 3), reflect=False)


def flip_warp(rng: np.random.Generator, size: int) -> Warp:
    """Random flips alone.

    Args:
        rng: Source of chance.
        size: Side of the picture in pixels.
    """
    flip_x, flip_y = rng.choice([-1.0, 1.0], 2)
    return _about_centre(np.diag([flip_x, flip_y]), size, np.zeros(2), reflect=False)


def random_warp(rng: np.random.Generator, size: int) -> Warp:
    """Flips, any rotation, scale, aspect, shear and shift; an endoscope has no upright.

    Args:
        rng: Source of chance.
        size: Side of the picture in pixels.
    """
    # half of the pictures keep a multiple of 90 degrees: corners of the field of view stay where real ones are
    upright = float(rng.integers(4)) * np.pi / 2 + float(rng.normal(0, 0.1))
    angle: float = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else upright
    scale = math.exp(rng.uniform(math.log(0.65), math.log(1.7)))
    aspect = math.exp(rng.uniform(-0.25, 0.25))
    shear = rng.normal(0, 0.08)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.array([[scale * aspect, shear], [0.0, scale / aspect]])
    flips = np.diag(rng.choice([-1.0, 1.0], 2))
    shift = rng.uniform(-0.18, 0.18, 2) * size * max(scale, 1.0)
    return _about_centre(rotation @ stretch @ flips, size, shift, reflect=bool(rng.random() < 0.25))


def _about_centre(linear: npt.NDArray[np.float64], size: int, shift: npt.NDArray[np.float64], *, reflect: bool) -> Warp:
    centre = np.full(2, (size - 1) / 2)
    offset = centre - linear @ centre + shift
    return Warp(np.column_stack([linear, offset]), reflect)
