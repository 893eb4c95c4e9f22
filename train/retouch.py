"""Retouching: what a picture looks like without its polyp, or with one of another picture.

Data sets of polyps hold hardly a picture without one, and most show it near and large, so a network learns that there
always is one, and a large one. Here tissue of the same picture is blended over the polyp, or the polyp of another
picture is blended in, no larger than it was (P. Perez et al., Poisson Image Editing, 2003). So that a trace of the
blending alone tells neither, some pictures are retouched beside their polyp.

Every function takes uint8 BGR ``[size, size, 3]`` and its mask uint8 ``[size, size]``, 0 and 255, writes to neither,
and returns None where the picture has no room for it.
"""

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import BLACK

UInt8Array = npt.NDArray[np.uint8]
Box = tuple[slice, slice]
"""Rows and columns."""

_LARGEST = 0.6
"""Share of the picture's side up to which a polyp is covered: for larger ones there is not enough other tissue."""

_MARGIN = 0.02
"""Width of the rim about a polyp that is covered too, its shadow and the masks' inaccuracy, as a share of the side."""

_ERODED = 3
"""Pixels by which cv2.seamlessClone shrinks the region that it is given."""

_ATTEMPTS = 20

_LEAST_PASTED, _MOST_PASTED = 0.08, 0.35
"""Longer side of a pasted polyp, as a share of the picture's side."""


def erase_polyp(rng: np.random.Generator, image: UInt8Array, mask: UInt8Array) -> UInt8Array | None:
    """The picture with tissue in place of all polyps.

    Args:
        rng: Source of chance.
        image: See above.
        mask: See above.
    """
    polyp = _with_rim(mask)
    return _cover(rng, image, polyp, polyp, _dark(image, mask))


def retouch_beside(rng: np.random.Generator, image: UInt8Array, mask: UInt8Array) -> UInt8Array | None:
    """The picture with tissue over a place beside the polyp, of the polyp's shape: its mask still holds.

    Args:
        rng: Source of chance.
        image: See above.
        mask: See above.
    """
    polyp, dark = _with_rim(mask), _dark(image, mask)
    box = _box(polyp)
    if box is None:
        return None
    cut = polyp[box]
    for place in _places(rng, mask.shape[0], *cut.shape[::-1]):
        if _is_free(polyp[place], cut) and _is_lit(dark[place], cut):
            target = np.zeros_like(mask)
            target[place] = cut
            retouched = _cover(rng, image, target, polyp, dark)
            if retouched is not None:
                return retouched
    return None


def paste_polyp(
    rng: np.random.Generator, image: UInt8Array, mask: UInt8Array, donor: UInt8Array, donor_mask: UInt8Array
) -> tuple[UInt8Array, UInt8Array] | None:
    """The picture with another one's polyp somewhere on its tissue, turned, mirrored and made smaller.

    Args:
        rng: Source of chance.
        image: See above.
        mask: See above.
        donor: The other picture, of the same size.
        donor_mask: Its mask.

    Returns:
        The picture, and the mask of all its polyps.
    """
    cutting = _cutting(rng, donor, donor_mask)
    if cutting is None:
        return None
    patch, polyp, cut = cutting
    own, dark = _with_rim(mask), _dark(image, mask)
    for place in _places(rng, mask.shape[0], *cut.shape[::-1]):
        if _is_inside(place, mask) and _is_free(own[place], cut) and _is_lit(dark[place], cut):
            both = mask.copy()
            both[place] |= polyp
            return _blended(patch, image, place, cut, cut), both
    return None


def _cutting(
    rng: np.random.Generator, donor: UInt8Array, mask: UInt8Array
) -> tuple[UInt8Array, UInt8Array, UInt8Array] | None:
    """A picture's polyp, turned and made smaller: a box of the picture, of its mask, and of what is to be blended."""
    size, box = mask.shape[0], _box(mask)
    if box is None or not _is_inside(box, mask):
        return None
    (top, bottom), (left, right) = ((side.start, side.stop) for side in box)
    longest = max(bottom - top, right - left)
    scale = min(1.0, math.exp(rng.uniform(math.log(_LEAST_PASTED), math.log(_MOST_PASTED))) * size / longest)
    small = cv2.resize(donor, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small_mask = cv2.resize(mask, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    middle = (scale * (left + right) / 2, scale * (top + bottom) / 2)
    turn = cv2.getRotationMatrix2D(middle, rng.uniform(0, 360), 1.0)
    turn[0] *= rng.choice([-1, 1])
    turn[:, 2] += size / 2 - turn @ (*middle, 1)
    picture = np.asarray(cv2.warpAffine(small, turn, (size, size)), np.uint8)
    polyp = np.where(np.asarray(cv2.warpAffine(small_mask, turn, (size, size))) > 127, np.uint8(255), np.uint8(0))
    rim = _with_rim(polyp)
    box = _box(rim)
    if box is None or not _is_lit(_dark(picture, polyp)[box], rim[box]):
        return None
    return np.ascontiguousarray(picture[box]), polyp[box], rim[box]


def _cover(
    rng: np.random.Generator, image: UInt8Array, target: UInt8Array, polyp: UInt8Array, dark: UInt8Array
) -> UInt8Array | None:
    """Blend tissue from elsewhere, mirrored or not, over the target; beside darkness it fades, as light does.

    Not where the target touches the picture's edge: there is nothing beyond that its colour could follow.

    Args:
        rng: Source of chance.
        image: See above.
        target: Where; it and the next are uint8 ``[size, size]``, 0 and 255.
        polyp: Where nothing may come from.
        dark: What stays as it is.
    """
    size, box = target.shape[0], _box(target)
    if box is None or not _is_inside(box, target) or max(target[box].shape) > _LARGEST * size:
        return None
    cut = target[box]
    for place in _places(rng, size, *cut.shape[::-1]):
        turn = (slice(None, None, int(rng.choice([-1, 1]))), slice(None, None, int(rng.choice([-1, 1]))))
        if _is_free(polyp[place][turn], cut) and _is_lit(dark[place][turn], cut):
            return _blended(np.ascontiguousarray(image[place][turn]), image, box, cut, cut & ~dark[box])
    return None


def _blended(patch: UInt8Array, image: UInt8Array, place: Box, cut: UInt8Array, shown: UInt8Array) -> UInt8Array:
    """The image with the patch within the cut, where it is shown; its colours follow those around the cut."""
    middle = (place[1].start + cut.shape[1] // 2, place[0].start + cut.shape[0] // 2)
    blended = cv2.seamlessClone(patch, image, cut.copy(), middle, cv2.NORMAL_CLONE)  # it writes to the cut
    result = image.copy()
    result[place] = np.where(shown[..., None] > 0, blended[place], image[place])
    return result


def _box(mask: UInt8Array) -> Box | None:
    """The smallest box around all that is set."""
    left, top, width, height = cv2.boundingRect(mask)
    return np.s_[top : top + height, left : left + width] if width else None


def _is_inside(box: Box, picture: UInt8Array) -> bool:
    """Whether there is something on all sides of the box."""
    return all(0 < side.start < side.stop < length for side, length in zip(box, picture.shape, strict=False))


def _places(rng: np.random.Generator, size: int, width: int, height: int) -> Iterator[Box]:
    """Some random places for a box."""
    for x, y in rng.integers(0, (size - width + 1, size - height + 1), (_ATTEMPTS, 2)).tolist():
        yield np.s_[y : y + height, x : x + width]


def _with_rim(mask: UInt8Array) -> UInt8Array:
    """The mask, grown so that the margin about it is covered."""
    side = 2 * (round(_MARGIN * mask.shape[0]) + _ERODED) + 1
    return np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))), np.uint8)


def _dark(image: UInt8Array, mask: UInt8Array) -> UInt8Array:
    """The frame around the field of view, and what shows nothing inside it: uint8 ``[size, size]``, 0 and 255."""
    return np.where((image.max(axis=2) <= BLACK) & (mask == 0), np.uint8(255), np.uint8(0))


def _is_free(polyp: UInt8Array, cut: UInt8Array) -> bool:
    return not (cut & polyp).any()


def _is_lit(dark: UInt8Array, cut: UInt8Array) -> bool:
    """Whether hardly anything but tissue lies within the cut."""
    return bool(np.count_nonzero(dark & cut) < 0.02 * np.count_nonzero(cut))
