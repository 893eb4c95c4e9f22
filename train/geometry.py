"""Geometric augmentation: one affine warp for image and mask, sampled as deployment's resize samples."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rt_seg.engines.field_of_view import FieldOfView
from rt_seg.engines.resize import resize_double, resize_mask

UInt8Array = npt.NDArray[np.uint8]

_KEPT_SHARE = 0.99  # of a mask that must lie inside the field: some run a few pixels over its edge
BLACK = 30
"""Level up to which a pixel of all three channels counts as beyond the field of view."""


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


def in_field(image: UInt8Array, mask: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Both cut to the endoscope's field of view, as ``rt-seg stream`` cuts; whole where that would cut into a polyp.

    Args:
        image: uint8 ``[H, W, 3]``, BGR.
        mask: uint8 ``[H, W]``, 0 and 255.

    Returns:
        Views of both.
    """
    rows, columns = FieldOfView(steady=False).find(image).slices
    if np.count_nonzero(mask[rows, columns]) < _KEPT_SHARE * np.count_nonzero(mask):
        return image, mask
    return image[rows, columns], mask[rows, columns]


def doubled(image: UInt8Array, mask: UInt8Array, side: int) -> tuple[UInt8Array, UInt8Array]:
    """Both at twice the network's size, as `Warp.apply` takes them: the first half of the ``supersampled`` resize.

    Args:
        image: uint8 ``[H, W, 3]``.
        mask: uint8 ``[H, W]``, 0 and 255.
        side: Side of the network's input in pixels.

    Returns:
        uint8 ``[2 * side, 2 * side, 3]``, and uint8 ``[2 * side, 2 * side]``.
    """
    return resize_double(image, side, side), resize_mask(mask, 2 * side, 2 * side)


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
    stretch = np.array([[scale * aspect, shear], [0.0, scale / aspect]])
    flips = np.diag(rng.choice([-1.0, 1.0], 2))
    shift = rng.uniform(-0.18, 0.18, 2) * size * max(scale, 1.0)
    return _about_centre(_rotation(angle) @ stretch @ flips, size, shift, reflect=bool(rng.random() < 0.25))


def close_up_warp(rng: np.random.Generator, image: UInt8Array, mask: UInt8Array) -> Warp | None:
    """Fill the picture with a part of it, turned and mirrored: what the camera sees when it comes near.

    Half of the close-ups of a picture with a polyp are of it, from a third of the view to nearly all of it; the others
    are of tissue without one. Both are magnified and softened alike, so that neither nearness nor blur tells a polyp.

    Args:
        rng: Source of chance.
        image: uint8 ``[size, size, 3]``.
        mask: uint8 ``[size, size]``, 0 and 255.

    Returns:
        The warp, or None where no fitting part was found.
    """
    if mask.any() and rng.random() < 0.5:
        left, top, width, height = cv2.boundingRect(mask)
        box, size = max(width, height), mask.shape[0]
        side = float(np.clip(box / rng.uniform(0.35, 0.9), 0.25 * size, 0.8 * size))
        if side < box:
            return None
        middle = np.array([left + width / 2, top + height / 2])
        return _part_to_whole(rng, middle + rng.uniform(-0.4, 0.4, 2) * (side - box), side, size)
    return _polyp_free_close_up(rng, image, mask)


def _polyp_free_close_up(rng: np.random.Generator, image: UInt8Array, mask: UInt8Array) -> Warp | None:
    """A close-up of 0.3 to 0.75 of the picture's side that shows tissue and no polyp."""
    size = mask.shape[0]
    for _attempt in range(12):
        side = rng.uniform(0.3, 0.75) * size
        centre = rng.uniform(side / 2, size - side / 2, 2)
        reach = side * math.sqrt(0.5)  # however it is turned, its corners lie within
        left, top = np.maximum(centre - reach, 0).astype(int)
        right, bottom = np.ceil(centre + reach).astype(int)
        part = np.s_[top:bottom, left:right]
        lit = image[part][::8, ::8].max(axis=2) > BLACK
        if lit.mean() > 0.7 and not mask[part].any():
            return _part_to_whole(rng, centre, side, size)
    return None


def _part_to_whole(rng: np.random.Generator, centre: npt.NDArray[np.float64], side: float, size: int) -> Warp:
    linear = _rotation(rng.uniform(0, 2 * np.pi)) @ np.diag(rng.choice([-1.0, 1.0], 2)) * (size / side)
    return Warp(np.column_stack([linear, np.full(2, (size - 1) / 2) - linear @ centre]), reflect=True)


def _rotation(angle: float) -> npt.NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _about_centre(linear: npt.NDArray[np.float64], size: int, shift: npt.NDArray[np.float64], *, reflect: bool) -> Warp:
    centre = np.full(2, (size - 1) / 2)
    offset = centre - linear @ centre + shift
    return Warp(np.column_stack([linear, offset]), reflect)
