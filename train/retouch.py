"""Retouching: what a picture looks like without its polyp, which is how most of a colonoscopy looks.

Data sets of polyps hold hardly a picture without one, so a network learns that there always is one. Here tissue of the
same picture is blended over the polyp (P. Perez et al., Poisson Image Editing, 2003). So that a trace of the blending
alone does not tell that there is no polyp, some pictures that keep theirs are retouched beside it.

Every function takes uint8 BGR ``[size, size, 3]`` and its mask uint8 ``[size, size]``, 0 and 255, writes to neither,
and returns None where the picture has no room for it.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import BLACK

UInt8Array = npt.NDArray[np.uint8]

_LARGEST = 0.6
"""Share of the picture's side up to which a polyp is covered: for larger ones there is not enough other tissue."""

_MARGIN = 0.02
"""Width of the rim about a polyp that is covered too, its shadow and the masks' inaccuracy, as a share of the side."""

_ERODED = 3
"""Pixels by which cv2.seamlessClone shrinks the region that it is given."""

_ATTEMPTS = 20


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
    left, top, width, height = cv2.boundingRect(polyp)
    if not width:
        return None
    cut = polyp[top : top + height, left : left + width]
    for place in _places(rng, mask.shape[0], width, height):
        if _is_free(polyp[place], cut) and _is_lit(dark[place], cut):
            target = np.zeros_like(mask)
            target[place] = cut
            retouched = _cover(rng, image, target, polyp, dark)
            if retouched is not None:
                return retouched
    return None


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
    size = target.shape[0]
    left, top, width, height = cv2.boundingRect(target)
    if not 0 < max(width, height) <= _LARGEST * size or min(left, top, size - left - width, size - top - height) == 0:
        return None
    cut = target[top : top + height, left : left + width]
    for place in _places(rng, size, width, height):
        turn = (slice(None, None, int(rng.choice([-1, 1]))), slice(None, None, int(rng.choice([-1, 1]))))
        if _is_free(polyp[place][turn], cut) and _is_lit(dark[place][turn], cut):
            patch = np.ascontiguousarray(image[place][turn])
            middle = (left + width // 2, top + height // 2)
            blended = cv2.seamlessClone(patch, image, cut.copy(), middle, cv2.NORMAL_CLONE)  # it writes to the mask
            return np.where((target & ~dark)[..., None] > 0, blended, image).astype(np.uint8, copy=False)
    return None


def _places(rng: np.random.Generator, size: int, width: int, height: int) -> Iterator[tuple[slice, slice]]:
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
