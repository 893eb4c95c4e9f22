"""Retouching: what a picture looks like without its polyp, which is how most of a colonoscopy looks.

Data sets of polyps hold hardly a picture without one, so a network learns that there always is one. Here tissue of the
same picture is blended over the polyp (P. Perez et al., Poisson Image Editing, 2003). So that no trace of the blending
tells that nothing is there, pictures that keep their polyp are retouched beside it as well.

Every function takes uint8 BGR ``[size, size, 3]`` and its mask uint8 ``[size, size]``, 0 and 255, writes to neither,
and returns None where the picture has no room for it.
"""

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

_LARGEST = 0.6
"""Share of the picture's side up to which a polyp is covered: for larger ones there is not enough other tissue."""

_MARGIN = 0.02
"""Width of the rim about a polyp that is covered too, its shadow and the masks' inaccuracy, as a share of the side."""

_ERODED = 3
"""Pixels by which cv2.seamlessClone shrinks the region that it is given."""

_DARK = 30
"""Level up to which a pixel of all three channels shows no tissue."""

_ATTEMPTS = 20


def erase_polyp(rng: np.random.Generator, image: UInt8Array, mask: UInt8Array) -> UInt8Array | None:
    """The picture with tissue in place of all polyps.

    Args:
        rng: Source of chance.
        image: See above.
        mask: See above.
    """
    return _cover(rng, image, _with_rim(mask), mask, _tissue(image))


def retouch_beside(rng: np.random.Generator, image: UInt8Array, mask: UInt8Array) -> UInt8Array | None:
    """The picture with tissue over a place beside the polyp, of the polyp's shape: its mask still holds.

    Args:
        rng: Source of chance.
        image: See above.
        mask: See above.
    """
    if not mask.any():
        return None
    shape, tissue = _with_rim(mask), _tissue(image)
    left, top, width, height = cv2.boundingRect(shape)
    cut = shape[top : top + height, left : left + width]
    for x, y in _corners(rng, mask.shape[0], width, height):
        place = np.s_[y : y + height, x : x + width]
        if not (cut & shape[place]).any() and _mostly(tissue[place], cut):
            target = np.zeros_like(mask)
            target[place] = cut
            return _cover(rng, image, target, mask, tissue)
    return None


def _cover(
    rng: np.random.Generator, image: UInt8Array, target: UInt8Array, mask: UInt8Array, tissue: UInt8Array
) -> UInt8Array | None:
    """Blend tissue without a polyp from elsewhere, mirrored or not, over the target.

    Not where the target touches the picture's edge: there is nothing beyond that its colour could follow.
    """
    size = mask.shape[0]
    left, top, width, height = cv2.boundingRect(target)
    if not 0 < max(width, height) <= _LARGEST * size or min(left, top, size - left - width, size - top - height) == 0:
        return None
    cut = target[top : top + height, left : left + width]
    for x, y in _corners(rng, size, width, height):
        turn = (slice(None, None, int(rng.choice([-1, 1]))), slice(None, None, int(rng.choice([-1, 1]))))
        place = np.s_[y : y + height, x : x + width]
        if not (cut & mask[place][turn]).any() and _mostly(tissue[place][turn], cut):
            patch = np.ascontiguousarray(image[place][turn])
            centre = (left + width // 2, top + height // 2)
            blended = cv2.seamlessClone(patch, image, cut.copy(), centre, cv2.NORMAL_CLONE)  # it writes to the mask
            covered = target & (tissue | mask)
            return np.where(covered[..., None] > 0, blended, image).astype(np.uint8, copy=False)
    return None


def _corners(rng: np.random.Generator, size: int, width: int, height: int) -> npt.NDArray[np.int64]:
    """Left upper corners of some random places for a box: int64 ``[attempts, 2]``, x and y."""
    return rng.integers(0, (size - width + 1, size - height + 1), (_ATTEMPTS, 2))


def _with_rim(mask: UInt8Array) -> UInt8Array:
    """The mask, grown so that the margin about it is covered."""
    side = 2 * (round(_MARGIN * mask.shape[0]) + _ERODED) + 1
    return np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)


def _tissue(image: UInt8Array) -> UInt8Array:
    """Where there is light: uint8 ``[size, size]``, 0 and 255."""
    return np.where(image.max(axis=2) > _DARK, np.uint8(255), np.uint8(0))


def _mostly(tissue: UInt8Array, cut: UInt8Array) -> bool:
    """Whether hardly anything but tissue lies within the cut."""
    return bool(np.count_nonzero(tissue & cut) > 0.98 * np.count_nonzero(cut))
